import { useEffect } from 'preact/hooks';
import { messageOf } from '../api/failure.ts';
import { problemsOf, status, statusProblem, watchStatus } from './status.ts';

/** What is wrong, in words, above everything else on every page. Nothing is wrong: nothing is there. */
export function Problems() {
  useEffect(() => watchStatus(), []);
  const problems = status.value === undefined ? [] : problemsOf(status.value);
  const error = statusProblem.value;
  return (
    <div role="alert" class="problems">
      {error !== undefined && <p>{messageOf(error)} What is shown may be old.</p>}
      {problems.map((text) => (
        <p key={text}>{text}</p>
      ))}
    </div>
  );
}
