import { PageTitle } from '../parts/page-title.tsx';
import { status } from './status.ts';

export function HealthPage() {
  return (
    <>
      <PageTitle title="Health" />
      <pre>{JSON.stringify(status.value, null, 1)}</pre>
    </>
  );
}
