import type { Line } from './lines.ts';

/** Who said what; read out as it comes. */
export function Conversation({ lines, isLive }: { lines: readonly Line[]; isLive: boolean }) {
  if (lines.length === 0) return <p class="quiet">{isLive ? 'Nothing was said yet.' : 'Nothing was said.'}</p>;
  const list = (
    <ol class="conversation">
      {lines.map(({ id, speaker, text, cut, isOpen }) => (
        <li key={id} class={isOpen ? `${speaker} open` : speaker}>
          <span class="speaker">{speaker === 'user' ? 'Caller' : 'Agent'}</span>
          <span class="text">
            {text}
            {cut !== '' && (
              <>
                {' '}
                <del>
                  <span class="unseen">not heard: </span>
                  {cut}
                </del>
              </>
            )}
          </span>
        </li>
      ))}
    </ol>
  );
  if (!isLive) return list;
  return (
    <div role="log" aria-label="Conversation">
      {list}
    </div>
  );
}
