/** Entry point of `cdk synth` and `cdk deploy`. Leaves all that is in the stack, and its checks, to stack.ts. */
import { App } from 'aws-cdk-lib';
import { ContextError } from './context.ts';
import { addRollcall } from './stack.ts';

try {
  addRollcall(new App());
} catch (error) {
  if (!(error instanceof ContextError)) throw error;
  // The deployer's mistake, not ours: a stack trace would hide the one line that helps. The exit code alone would not
  // do, because the CDK would still synthesize what there is.
  console.error(error.message);
  process.exit(1);
}
