import { signal } from '@preact/signals';

/** Which page is shown, and what it is asked for. It is all in the address, so a link shows a colleague the same. */
export interface Place {
  readonly page: string;
  readonly name: string | undefined;
  readonly query: Readonly<Record<string, string>>;
}

/** In the fragment, which browsers send to nobody: names of calls are in no log of any proxy. */
function placeOf(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [page = '', name] = path.split('/', 2);
  return {
    page,
    name: name ? decoded(name) : undefined,
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const place = signal<Place>(placeOf(location.hash));
addEventListener('hashchange', () => {
  place.value = placeOf(location.hash);
});

/** The address of a page. What is undefined or empty is left out of its query. */
export function linkTo(page: string, name?: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  const wanted = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const path = name === undefined ? page : `${page}/${encodeURIComponent(name)}`;
  return `#/${path}${wanted.length > 0 ? `?${new URLSearchParams(wanted)}` : ''}`;
}

export function goTo(link: string): void {
  location.hash = link;
}
