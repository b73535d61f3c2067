import { RequestNote } from '../http/request-note.js';
import type { DeliveryWatch } from './delivery-watch.js';

/** Who observes the delivery that answers a request. */
export const watchNote = new RequestNote<DeliveryWatch>('watch');
