import jwt from 'jsonwebtoken';
import { SECRET } from './test-app.js';

/** An access token as the application's login would issue it: subject ada, an hour of life. */
export function accessToken(
  claims: Record<string, unknown> = {},
  options: jwt.SignOptions = {},
  secret = SECRET,
): string {
  const payload = { sub: 'ada', exp: Math.floor(Date.now() / 1000) + 3600, ...claims };
  for (const [name, value] of Object.entries(payload)) {
    if (value === undefined) {
      delete (payload as any)[name];
    }
  }
  return jwt.sign(payload, secret, { algorithm: 'HS256', ...options });
}
