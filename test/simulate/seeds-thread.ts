/** One thread of `runSeedsInThreads`. */
import { parentPort, workerData } from 'node:worker_threads';
import { runSeeds, type SeedsTask } from './run-seeds.ts';

await runSeeds(workerData as SeedsTask, (part) => parentPort!.postMessage(part));
