import { Injectable, Module } from '@nestjs/common';
import jwt from 'jsonwebtoken';

/** Every workspace signs its tokens, of all types, with a key of its own. */
const KEYS: Readonly<Record<string, string>> = {
  acme: 'the key with which the workspace acme signs',
  globex: 'the key with which the workspace globex signs',
};

export interface WorkspaceClaims {
  readonly type: 'access' | 'refresh' | 'file';
  readonly sub: string;
  readonly workspace: string;
}

@Injectable()
export class Workspaces {
  sign(claims: WorkspaceClaims & Record<string, unknown>): string {
    return jwt.sign(claims, this.keyOf(claims.workspace) ?? '', { expiresIn: '1h' });
  }

  /** The claims of a genuine token of that type. */
  verify(
    token: string,
    type: WorkspaceClaims['type'],
  ): (WorkspaceClaims & Record<string, unknown>) | undefined {
    try {
      const claims = jwt.verify(token, this.keyOfToken(token) ?? '', {
        algorithms: ['HS256'],
      }) as WorkspaceClaims;
      return claims.type === type ? { ...claims } : undefined;
    } catch {
      return undefined;
    }
  }

  /** The key of the workspace that a token, not verified yet, says it is of. */
  keyOfToken(token: string): string | undefined {
    return this.keyOf(jwt.decode(token, { json: true })?.workspace);
  }

  private keyOf(workspace: unknown): string | undefined {
    return typeof workspace === 'string' && Object.hasOwn(KEYS, workspace) ? KEYS[workspace] : undefined;
  }
}

@Module({ providers: [Workspaces], exports: [Workspaces] })
export class WorkspacesModule {}
