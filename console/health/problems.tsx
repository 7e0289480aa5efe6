import { useEffect } from 'preact/hooks';
import { messageOf } from '../api/failure.ts';
import type { Who } from '../api/types.ts';
import { problems, statusProblem, watchStatus } from './status.ts';

/** What is wrong, in words, above everything else on every page. Nothing is wrong: nothing is there. */
export function Problems({ who }: { who: Who }) {
  useEffect(() => watchStatus(who), [who]);
  const error = statusProblem.value;
  return (
    <div role="alert" class="problems">
      {error !== undefined && <p>{messageOf(error)} What is shown may be old.</p>}
      {problems.value.map(({ severity, text }) => (
        <p key={text} class={severity}>
          {text}
        </p>
      ))}
    </div>
  );
}
