import { useSignal } from '@preact/signals';
import type { TargetedSubmitEvent } from 'preact';
import { Failure } from '../parts/failure.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { signIn } from './who.ts';

/** Takes a key once; from then on a cookie that no script can read stands for it. */
export function SignInPage() {
  const error = useSignal<unknown>(undefined);
  const isBusy = useSignal(false);
  const onSubmit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    isBusy.value = true;
    error.value = undefined;
    try {
      await signIn(String(new FormData(form).get('key') ?? ''));
    } catch (failure) {
      error.value = failure;
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <main id="page" class="narrow">
      <PageTitle title="Sign in" />
      <form onSubmit={(event) => void onSubmit(event)}>
        <label>
          API key
          <input type="password" name="key" autocomplete="current-password" required aria-describedby="key-help" />
        </label>
        <p id="key-help" class="quiet">
          The operator's key (<code>W3_VOICE_GATEWAY_API_KEY</code>), or one of the keys file: it shows the calls of its
          tenant.
        </p>
        <Failure error={error.value} />
        <button type="submit" class="primary" disabled={isBusy.value}>
          Sign in
        </button>
      </form>
    </main>
  );
}
