// A process that opens its store, uses it, and leaves it open (arguments: ../../support/child-process.mjs).
import { store } from '../../support/child-process.mjs';

await store.open(Date.now());
await store.revoke({ name: 'link:link', issuedBefore: 1, keepUntil: Date.now() }, Date.now());
store.subscribe({ revoked() {}, missed() {} });
process.send({ type: 'ready' });
process.disconnect();
