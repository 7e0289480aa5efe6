/** A value with its unit, as short as it is readable. Units are Grafana's ids. */
export function formatValue(value: number, unit: string, decimals?: number): string {
  switch (unit) {
    case 's':
      return seconds(value);
    case 'percentunit':
      return `${short(value * 100, decimals)} %`;
    case 'bytes':
      return value >= 1024 ** 3 ? `${short(value / 1024 ** 3)} GiB` : `${short(value / 1024 ** 2)} MiB`;
    case 'reqps':
      return `${short(value)} req/s`;
    case 'currencyUSD':
      return `$${value >= 1000 ? value.toFixed(0) : value.toFixed(decimals ?? 2)}`;
    default:
      return short(value, decimals);
  }
}

function seconds(value: number): string {
  if (value === 0) return '0 s';
  if (value < 0.001) return `${short(value * 1e6)} µs`;
  if (value < 1) return `${short(value * 1000)} ms`;
  return value < 600 ? `${short(value)} s` : `${short(value / 60)} min`;
}

function short(value: number, decimals?: number): string {
  if (decimals !== undefined) return value.toFixed(decimals);
  if (value === 0) return '0';
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
