import type { SyntaxNodeRef } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import type { Sample } from './exposition.ts';

/** A metric as a query names it, with what it asks of its labels. */
export interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

/** Labels that an aggregation or a match keeps, and the metrics they are labels of. */
export interface Grouping {
  readonly labels: readonly string[];
  readonly of: readonly Selector[];
}

export interface ParsedQuery {
  readonly selectors: readonly Selector[];
  readonly groupings: readonly Grouping[];
}

/** What Prometheus itself puts on every series of a scrape. */
const TARGET: Readonly<Record<string, string>> = { instance: '127.0.0.1:3105', job: 'voice-gateway' };

/** Grafana's template variables, as Grafana would fill them. */
export function fillTemplates(expr: string, numbers: readonly string[] = []): string {
  let filled = expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*');
  for (const name of numbers) filled = filled.replaceAll(`$${name}`, '1.5');
  return filled;
}

/** @throws {Error} when Prometheus would not parse it */
export function parseQuery(expr: string): ParsedQuery {
  const selectors: (Selector & { from: number; to: number })[] = [];
  const groups: { labels: string[]; from: number; to: number }[] = [];
  const text = ({ from, to }: { from: number; to: number }) => expr.slice(from, to);
  parser.parse(expr).iterate({
    enter(node: SyntaxNodeRef) {
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${expr}`);
      if (node.name === 'VectorSelector') {
        const metric = node.node.getChild('Identifier');
        if (!metric) throw new Error(`a selector without a metric: ${expr}`);
        const matchers = (node.node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []).map(
          (matcher) => ({
            label: text(matcher.getChild('LabelName')!),
            operator: text(matcher.getChild('MatchOp')!),
            value: JSON.parse(text(matcher.getChild('StringLiteral')!)) as string,
          }),
        );
        selectors.push({ metric: text(metric), matchers, from: node.from, to: node.to });
      } else if (node.name === 'GroupingLabels') {
        // The labels belong to everything that the aggregation or the binary expression around them spans.
        const { from, to } = node.node.parent!.parent!;
        groups.push({ labels: node.node.getChildren('LabelName').map(text), from, to });
      }
    },
  });
  return {
    selectors,
    groupings: groups.map(({ labels, from, to }) => ({
      labels,
      of: selectors.filter((selector) => selector.from >= from && selector.to <= to),
    })),
  };
}

/** The series of a scrape that a selector means. */
export function select({ metric, matchers }: Selector, samples: readonly Sample[]): Sample[] {
  return samples.filter(({ name, labels }) => {
    if (name !== metric) return false;
    return matchers.every(({ label, operator, value }) => {
      const found = labels[label] ?? TARGET[label] ?? '';
      const isRegex = operator.endsWith('~');
      const matches = isRegex ? new RegExp(`^(?:${value})$`).test(found) : found === value;
      return operator.startsWith('!') ? !matches : matches;
    });
  });
}

/**
 * What is wrong with a query, given what a gateway exposes: metrics, labels and values that do not exist, and selectors
 * that find nothing.
 * @param records series that recording rules make, with their labels
 */
export function problemsOf(
  expr: string,
  samples: readonly Sample[],
  records: ReadonlyMap<string, readonly string[]> = new Map(),
): string[] {
  const problems: string[] = [];
  const { selectors, groupings } = parseQuery(expr);
  const labelsOf = ({ metric }: Selector): Set<string> => {
    const own = samples.filter(({ name }) => name === metric).flatMap(({ labels }) => Object.keys(labels));
    return new Set([...own, ...(records.get(metric) ?? []), ...Object.keys(TARGET)]);
  };
  for (const selector of selectors) {
    const { metric, matchers } = selector;
    // Prometheus's own word on whether it could scrape.
    if (records.has(metric) || metric === 'up') continue;
    if (!samples.some(({ name }) => name === metric)) problems.push(`${metric} is not exposed`);
    else if (select(selector, samples).length === 0) problems.push(`${metric} has no series for these labels`);
    for (const { label, value } of matchers) {
      if (!labelsOf(selector).has(label)) problems.push(`${metric} has no label ${label}`);
      if (label in TARGET) continue;
      for (const alternative of value.split('|')) {
        const pattern = new RegExp(`^(?:${alternative})$`);
        const exists = samples.some(({ name, labels }) => name === metric && pattern.test(labels[label] ?? ''));
        if (!exists) problems.push(`${metric} has nothing with ${label} like ${alternative}`);
      }
    }
  }
  for (const { labels, of } of groupings) {
    for (const label of labels) {
      if (!of.some((selector) => labelsOf(selector).has(label))) problems.push(`nothing summed has a label ${label}`);
    }
  }
  return problems;
}
