import { type TEnum, type TEnumValue, type TSchemaOptions, Type } from 'typebox';

/** One of these values. An enumeration, since a union costs the serializer of answers a check each. */
export function oneOf<Values extends TEnumValue[]>(
  values: readonly [...Values],
  options: TSchemaOptions = {},
): TEnum<Values> {
  return Type.Enum(values, { type: typeof values[0], ...options });
}
