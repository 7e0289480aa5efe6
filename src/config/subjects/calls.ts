import { Type } from 'typebox';
import { ms, subject } from '../subject.ts';

/** How many calls there may be, and how long each waits. */
export const calls = subject({
  title: 'Calls',
  variables: {
    SESSION_IDLE_TIMEOUT_MS: ms(600_000, 'a session without a request this long ends (`idle`)'),
    FIRST_AUDIO_TIMEOUT_MS: ms(30_000, 'a call that never sends audio ends after this long'),
    CREATE_TIMEOUT_MS: ms(10_000, 'longest wait for the upstream when a session is created', 1, 120_000),
    MAX_SESSIONS: Type.Integer({ minimum: 1, maximum: 100_000, default: 500, description: 'sessions in all' }),
    MAX_SESSIONS_PER_TENANT: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100_000, description: 'sessions a tenant; default: no limit of its own' }),
    ),
  },
});
