import { InvalidArgumentError } from 'commander';

/** A parser of an argument, whose errors are told as those of the command line. */
export function checked<Value>(parse: (text: string) => Value): (text: string) => Value {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };
}
