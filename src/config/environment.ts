import { type Static, Type } from 'typebox';
import type { AnySubject } from './subject.ts';
import { access } from './subjects/access.ts';
import { agents } from './subjects/agents.ts';
import { calls } from './subjects/calls.ts';
import { cluster } from './subjects/cluster.ts';
import { costs } from './subjects/costs.ts';
import { leg } from './subjects/leg.ts';
import { load } from './subjects/load.ts';
import { process } from './subjects/process.ts';
import { records } from './subjects/records.ts';
import { upstream } from './subjects/upstream.ts';

/** Every subject, in the order of `docs/configuration.md`. */
export const SUBJECTS: readonly AnySubject[] = [
  access,
  upstream,
  agents,
  calls,
  load,
  records,
  leg,
  costs,
  cluster,
  process,
];

/** Every environment variable that the daemon reads. */
export const EnvironmentSchema = Type.Object({
  ...access.variables,
  ...upstream.variables,
  ...agents.variables,
  ...calls.variables,
  ...load.variables,
  ...records.variables,
  ...leg.variables,
  ...costs.variables,
  ...cluster.variables,
  ...process.variables,
});

export type Environment = Static<typeof EnvironmentSchema>;

/** Variables that hold keys. */
export const SECRETS: ReadonlySet<string> = new Set(SUBJECTS.flatMap(({ secrets = [] }) => secrets));

/** Variables that hold URLs. */
export const URLS: ReadonlySet<string> = new Set(SUBJECTS.flatMap(({ urls = [] }) => urls));
