/** A record batch can't be unpacked. Where in the log that happened is known one level up (`unreadable-records.ts`). */
export class CodecError extends Error {
  readonly code: 'DECOMPRESSION_LIMIT' | 'DECOMPRESSION_FAILED';

  constructor(message: string, code: CodecError['code'] = 'DECOMPRESSION_FAILED', options?: ErrorOptions) {
    super(message, options);
    this.name = 'CodecError';
    this.code = code;
  }

  static tooLarge(codec: string, maxBytes: number): CodecError {
    return new CodecError(`${codec}: a record batch unpacks to more than ${maxBytes} bytes`, 'DECOMPRESSION_LIMIT');
  }
}
