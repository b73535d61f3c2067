import { DownloadAuthConfigurationError } from './configuration-error.js';

const ADVICE = {
  boolean:
    "write true or false; a variable of the environment is text, so compare it: process.env.NAME === 'true'.",
  function: 'give a function.',
};

/**
 * Checks members whose wrong type would go unnoticed: the text 'false' is as good as true.
 * @throws DownloadAuthConfigurationError for a member of another type
 */
export function checkTypes(
  options: object | undefined,
  types: Readonly<Record<string, keyof typeof ADVICE>>,
  place = '',
): void {
  for (const [name, type] of Object.entries(types)) {
    const value = (options as Record<string, unknown> | undefined)?.[name];
    if (value !== undefined && typeof value !== type) {
      throw new DownloadAuthConfigurationError(`${place}${name}: ${ADVICE[type]}`);
    }
  }
}
