import { signal, useSignal, useSignalEffect } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { Failure } from './failure.tsx';

/** Something that cannot be taken back. */
export interface Question {
  readonly text: string;
  readonly yes: string;
  readonly onYes: () => Promise<unknown>;
}

const asked = signal<Question | undefined>(undefined);

/** Asks before something is done that cannot be taken back. */
export function askFirst(question: Question): void {
  asked.value = question;
}

/** The one dialog of the page. */
export function Confirmation() {
  const dialog = useRef<HTMLDialogElement>(null);
  const error = useSignal<unknown>(undefined);
  const isBusy = useSignal(false);
  useSignalEffect(() => {
    if (asked.value && !dialog.current?.open) dialog.current?.showModal();
  });
  const question = asked.value;
  const onYes = async () => {
    isBusy.value = true;
    error.value = undefined;
    try {
      await question?.onYes();
      dialog.current?.close();
    } catch (failure) {
      error.value = failure;
    } finally {
      isBusy.value = false;
    }
  };
  const onClose = () => {
    asked.value = undefined;
    error.value = undefined;
  };
  return (
    <dialog ref={dialog} aria-labelledby="question" onClose={onClose}>
      <p id="question">{question?.text}</p>
      <Failure error={error.value} />
      <div class="row">
        <button type="button" class="danger" disabled={isBusy.value} onClick={() => void onYes()}>
          {question?.yes}
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
      </div>
    </dialog>
  );
}
