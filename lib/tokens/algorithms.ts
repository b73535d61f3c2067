import { DownloadAuthConfigurationError } from '../options/configuration-error.js';
import type { SignatureAlgorithm } from '../options/download-auth-options.js';

/** The algorithms a key may be pinned to (RFC 7518 §3.1). */
export const ALGORITHMS: readonly SignatureAlgorithm[] = [
  'HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512',
]; // prettier-ignore

/** @throws DownloadAuthConfigurationError for anything but a list of them */
export function checkAlgorithms(algorithms: unknown, option: string): void {
  if (algorithms === undefined) return;
  if (!Array.isArray(algorithms) || algorithms.length === 0) {
    throw new DownloadAuthConfigurationError(`${option}: give a list such as ['HS256'], or leave it out.`);
  }
  const unknown: unknown = algorithms.find((name) => !ALGORITHMS.includes(name as SignatureAlgorithm));
  if (unknown !== undefined) {
    throw new DownloadAuthConfigurationError(
      `${option}: ${JSON.stringify(unknown)} is none of ${ALGORITHMS.join(', ')}.`,
    );
  }
}
