import { type Static, type TObject, type TProperties, Type } from 'typebox';

const DAY_MS = 86_400_000;

/**
 * Environment variables that belong together. `docs/configuration.md` has a table for each subject, and a test holds the
 * two together: a new variable is one entry here and one line there.
 */
export interface Subject<V extends TProperties> {
  /** Its heading in `docs/configuration.md`. */
  readonly title: string;
  /** Type, bounds, default and description of each. Names of durations end in `_MS`. */
  readonly variables: V;
  /** Variables that hold keys: nobody may read them anywhere. */
  readonly secrets?: readonly (keyof V & string)[];
  /** Variables that hold URLs. There may be keys in these too. */
  readonly urls?: readonly (keyof V & string)[];
  /** What a variable must be, where its pattern would not tell people: the end of "must be …". */
  readonly mustBe?: Readonly<Partial<Record<keyof V & string, string>>>;
  /** A sentence for each thing that is wrong although every variable by itself is right. */
  problems?(env: Static<TObject<V>>): readonly string[];
}

/** A subject of whatever variables, for those that go through all subjects. */
export interface AnySubject {
  readonly title: string;
  readonly variables: TProperties;
  readonly secrets?: readonly string[];
  readonly urls?: readonly string[];
  readonly mustBe?: Readonly<Record<string, string | undefined>>;
  problems?(env: object): readonly string[];
}

/** Infers the names of a subject's variables. */
export function subject<V extends TProperties>(subject: Subject<V>): Subject<V> {
  return subject;
}

/** Milliseconds within bounds, with a default. */
export function ms(defaultMs: number, description: string, minimum = 1, maximum = DAY_MS) {
  return Type.Integer({ minimum, maximum, default: defaultMs, description });
}
