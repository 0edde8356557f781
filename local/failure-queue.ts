/**
 * A stand-in for the queues of failures: keeps their messages, one a line, in a file for each queue. Nobody receives
 * them; on AWS, too, they wait for an administrator.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';

/** Puts a message into the queue with this ARN. */
export type SendFailure = (queueArn: string, message: object) => void;

/** The queues, their files in `folder`. */
export function createFailureQueues(folder: string): SendFailure {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return (queueArn, message) => {
    const file = path.join(folder, `${queueArn.split(':').at(-1)}.jsonl`);
    appendFileSync(file, `${JSON.stringify({ time: new Date().toISOString(), ...message })}\n`, { mode: 0o600 });
  };
}
