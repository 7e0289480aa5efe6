import { Type } from 'typebox';

const ISO = '^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,3})?)?(Z|[+-]\\d{2}:\\d{2}))?$';

/** A date, or a time with its zone, in a query. */
export const moment = (description: string) => Type.Optional(Type.String({ pattern: ISO, description }));
