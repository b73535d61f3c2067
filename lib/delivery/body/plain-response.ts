import { OutgoingMessage, ServerResponse } from 'node:http';

/** As they were when this module was loaded: whoever replaces them later is noticed. */
const write: unknown = Reflect.get(OutgoingMessage.prototype, 'write');
const end: unknown = Reflect.get(OutgoingMessage.prototype, 'end');

/**
 * Whether the callback of `write` means that the kernel took the bytes: Node's own HTTP/1 response with its own
 * methods, over TCP or TLS. A compression middleware replaces `write` and may keep the chunk or never
 * call back; HTTP/2 has another class.
 */
export function isPlainResponse(destination: unknown): destination is ServerResponse {
  return (
    destination instanceof ServerResponse &&
    Reflect.get(destination, 'write') === write &&
    Reflect.get(destination, 'end') === end
  );
}
