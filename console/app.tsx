import { CallPage } from './call/call-page.tsx';
import { CallsPage } from './calls/calls-page.tsx';
import { HealthPage } from './health/health-page.tsx';
import { Problems } from './health/problems.tsx';
import { HistoryPage } from './history/history-page.tsx';
import { Confirmation } from './parts/confirm.tsx';
import { Failure } from './parts/failure.tsx';
import { linkTo, place } from './place.ts';
import { areNumbersWhole } from './sign-in/numbers.ts';
import { SignInPage } from './sign-in/sign-in-page.tsx';
import { findOutWho, signOut, who, whoProblem } from './sign-in/who.ts';
import { TalkPage } from './talk/talk-page.tsx';

const PAGES = [
  { page: '', name: 'Calls' },
  { page: 'history', name: 'History' },
  { page: 'talk', name: 'Talk' },
  { page: 'health', name: 'Health' },
] as const;

/** The whole page: who is signed in, what is wrong, where one is. */
export function App() {
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('page')?.focus()}>
        Skip to the page
      </button>
      <Header />
      <Body />
      <Confirmation />
    </>
  );
}

function Header() {
  const person = who.value;
  const { page: here } = place.value;
  return (
    <header class="top">
      <a class="brand" href={linkTo('')}>
        Voice Gateway
      </a>
      {typeof person === 'object' && (
        <nav aria-label="Pages">
          {PAGES.filter(({ page }) => page !== 'talk' || person.may.talk).map(({ page, name }) => (
            <a
              key={page}
              href={linkTo(page)}
              aria-current={page === here || (page === '' && here === 'call') ? 'page' : undefined}
            >
              {name}
            </a>
          ))}
        </nav>
      )}
      {typeof person === 'object' && (
        <span class="person">
          {person.may.numbers && <WholeNumbers />}
          {!person.isKeyless && (
            <>
              {person.name} <SignOut />
            </>
          )}
        </span>
      )}
    </header>
  );
}

function WholeNumbers() {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={areNumbersWhole.value}
        onChange={(event) => {
          areNumbersWhole.value = event.currentTarget.checked;
        }}
      />
      Whole numbers
    </label>
  );
}

function SignOut() {
  return (
    <button type="button" class="plain" onClick={() => void signOut().catch(findOutWho)}>
      Sign out
    </button>
  );
}

function Body() {
  const person = who.value;
  if (person === 'nobody') return <SignInPage />;
  if (person === 'asking') {
    return (
      <main id="page" tabIndex={-1} class="narrow">
        <Failure error={whoProblem.value}>
          <button type="button" onClick={() => void findOutWho()}>
            Try again
          </button>
        </Failure>
      </main>
    );
  }
  return (
    <>
      <Problems who={person} />
      <main id="page" tabIndex={-1}>
        <Page />
      </main>
    </>
  );
}

function Page() {
  const { page, name } = place.value;
  switch (page) {
    case 'call':
      return <CallPage key={name} name={name ?? ''} />;
    case 'history':
      return <HistoryPage />;
    case 'talk':
      return <TalkPage />;
    case 'health':
      return <HealthPage />;
    default:
      return <CallsPage />;
  }
}
