/**
 * CQL types as data, parsed once from the text that `system_schema.columns.type` holds (`frozen<map<text, int>>`).
 * `custom` covers what has no CQL name here (a Java class name); it decodes to nothing and is refused by name.
 */
export type ScalarName =
  | 'ascii'
  | 'bigint'
  | 'blob'
  | 'boolean'
  | 'counter'
  | 'date'
  | 'decimal'
  | 'double'
  | 'duration'
  | 'float'
  | 'inet'
  | 'int'
  | 'smallint'
  | 'text'
  | 'time'
  | 'timestamp'
  | 'timeuuid'
  | 'tinyint'
  | 'uuid'
  | 'varint';

export interface ScalarType {
  readonly kind: 'scalar';
  readonly name: ScalarName;
}
export interface ListType {
  readonly kind: 'list' | 'set';
  readonly element: CqlType;
  readonly frozen: boolean;
}
export interface MapType {
  readonly kind: 'map';
  readonly key: CqlType;
  readonly value: CqlType;
  readonly frozen: boolean;
}
export interface TupleType {
  readonly kind: 'tuple';
  readonly elements: readonly CqlType[];
}
export interface UdtType {
  readonly kind: 'udt';
  readonly name: string;
  readonly fields: readonly { readonly name: string; readonly type: CqlType }[];
  readonly frozen: boolean;
}
export interface VectorType {
  readonly kind: 'vector';
  readonly element: CqlType;
  readonly dimensions: number;
}
export interface CustomType {
  readonly kind: 'custom';
  readonly name: string;
}
export type CqlType = ScalarType | ListType | MapType | TupleType | UdtType | VectorType | CustomType;

/** True where single elements of a value can be written on their own, so that an envelope may carry only a part of it. */
export function isMultiCell(type: CqlType): boolean {
  return (type.kind === 'list' || type.kind === 'set' || type.kind === 'map' || type.kind === 'udt') && !type.frozen;
}

/** Whether a duration is anywhere in the type: its months and days are lost on the wire. */
export function holdsDuration(type: CqlType): boolean {
  switch (type.kind) {
    case 'scalar':
      return type.name === 'duration';
    case 'custom':
      return false;
    case 'list':
    case 'set':
    case 'vector':
      return holdsDuration(type.element);
    case 'map':
      return holdsDuration(type.key) || holdsDuration(type.value);
    case 'tuple':
      return type.elements.some(holdsDuration);
    case 'udt':
      return type.fields.some((field) => holdsDuration(field.type));
  }
}
