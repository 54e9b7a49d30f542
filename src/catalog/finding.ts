/** What is wrong, or worth knowing, about a live target table: code, message, remedy. */
export interface Finding {
  /** `error`: changes would fail or be applied wrongly, `run` does not start. `warning`: some may fail, or slowly. */
  readonly severity: 'error' | 'warning';
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}
