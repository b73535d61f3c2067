/** The token that every request of the benches carries, whether or not the candidate looks at it. */
import jwt from 'jsonwebtoken';

export const SECRET = 'a secret for the benchmark that is long enough to be one';

const now = Math.floor(Date.now() / 1000);
export const TOKEN = jwt.sign(
  { sub: 'ada', name: 'Ada Lovelace', roles: ['reader'], iat: now, exp: now + 12 * 3600 },
  SECRET,
);
