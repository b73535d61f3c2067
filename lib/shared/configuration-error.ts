/**
 * A mistake of the programmer, found at start or at the call: an option that cannot work, a link
 * that could never be opened. The message says what to write instead.
 */
export class DownloadAuthConfigurationError extends TypeError {
  override readonly name = 'DownloadAuthConfigurationError';
}
