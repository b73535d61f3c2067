import { Injectable } from '@nestjs/common';
import jwt from 'jsonwebtoken';

const SECRET = 'the secret of the links of the wiki';

interface AttachmentToken {
  readonly type: 'attachment';
  readonly page: string;
  readonly id: string;
}

/** Tokens for the URL of one attachment. */
@Injectable()
export class AttachmentTokens {
  sign(page: string, id: string): string {
    return jwt.sign({ type: 'attachment', page, id } satisfies AttachmentToken, SECRET, { expiresIn: '1h' });
  }

  isFor(token: string, page: string, id: string): boolean {
    try {
      const claims = jwt.verify(token, SECRET, { algorithms: ['HS256'] }) as AttachmentToken;
      return claims.type === 'attachment' && claims.page === page && claims.id === id;
    } catch {
      return false;
    }
  }
}
