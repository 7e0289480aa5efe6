import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';

/** The prepared statements of one database. */
export class Statements {
  readonly #database: DatabaseSync;
  readonly #readers = new Map<string, StatementSync>();
  readonly #writers = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** For what gives rows. */
  read(sql: string): StatementSync {
    return this.#prepared(this.#readers, sql);
  }

  /**
   * Runs what gives none; returns how many rows it changed.
   *
   * Node reports the last row's id as well, and fails where it is no safe integer, as inside the full text it often is:
   * it is to be a bigint, which nobody looks at.
   */
  write(sql: string, ...values: SQLInputValue[]): number {
    const statement = this.#prepared(this.#writers, sql);
    statement.setReadBigInts(true);
    return Number(statement.run(...values).changes);
  }

  #prepared(statements: Map<string, StatementSync>, sql: string): StatementSync {
    let statement = statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      statements.set(sql, statement);
    }
    return statement;
  }
}
