import { type ReadonlySignal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export interface ChartSeries {
  readonly label: string;
  readonly unit: string;
}

const HEIGHT = 160;

/** Lines over time. What it says in words stands beside it; a picture is nothing to a screen reader. */
export function Chart(props: {
  readonly title: string;
  readonly series: readonly ChartSeries[];
  /** Seconds since the epoch, then the values of each series. */
  readonly data: ReadonlySignal<uPlot.AlignedData>;
}) {
  const { title, series, data } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  useEffect(() => {
    const element = place.current!;
    const style = getComputedStyle(element);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    plot.current = new uPlot(
      {
        width: Math.max(200, element.clientWidth),
        height: HEIGHT,
        cursor: { show: false },
        legend: { show: false },
        axes: [axis, { ...axis, size: 56, values: (_, values) => values.map((value) => `${value}${series[0]!.unit}`) }],
        series: [{}, ...series.map(({ label }, index) => ({ label, width: 2, stroke: colour(`--line-${index + 1}`) }))],
      },
      data.peek(),
      element,
    );
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      plot.current?.destroy();
    };
  }, [series, data]);
  useSignalEffect(() => plot.current?.setData(data.value));
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}
