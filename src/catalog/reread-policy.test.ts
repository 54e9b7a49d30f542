import { describe, expect, it } from 'vitest';
import { column, tableOf } from '../../test/support/door-rig.ts';
import type { CqlType } from '../change/source-type.ts';
import { rereadPolicy } from './reread-policy.ts';

const int: CqlType = { kind: 'scalar', name: 'int' };
const tuple: CqlType = { kind: 'tuple', elements: [int, { kind: 'list', element: int, frozen: true }] };
const unknown: CqlType = { kind: 'tuple', elements: [int, { kind: 'custom', name: 'org.example.Point' }] };
const rereads = { mode: 'apply', existenceChecks: true } as const;

function keyed(type: CqlType, more: object) {
  const columns = [
    column('p', 'partition', int, 'integer'),
    column('c', 'clustering', type, 'text'),
    column('v', 'regular', int, 'integer'),
  ];
  return tableOf('policies', columns, more);
}

describe('whether rows are read again', () => {
  it('is never where there is no source', () => {
    expect(rereadPolicy(keyed(int, {}))).toBeNull();
  });

  it('is where every key column can be asked for', () => {
    expect(rereadPolicy(keyed(int, { rereads }))).toMatchObject({ existence: true, everyWrite: false });
  });

  it('is where a key column holds a tuple or a frozen collection', () => {
    expect(rereadPolicy(keyed(tuple, { rereads }))).not.toBeNull();
  });

  it('is not where one can not: such reads would wait for ever', () => {
    expect(rereadPolicy(keyed(unknown, { rereads }))).toBeNull();
  });
});
