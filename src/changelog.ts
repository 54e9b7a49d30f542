/** `lockstep/changelog`: what applications need to keep the changelog table (docs/changelog-table.md). */
export {
  Changelog,
  type ChangelogOptions,
  type LoggedBatch,
  type LoggedBound,
  type LoggedChange,
  type LoggedEntry,
  type LoggedStatement,
  type LoggedTable,
} from './source/changelog-writer.ts';
export { changelogTableCql } from './source/changelog-table.ts';
