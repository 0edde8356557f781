/**
 * Entry point of `cdk synth` and `cdk deploy`, which tells the deployer what the stack costs. Leaves all that is in the
 * stack, and its checks, to stack.ts.
 */
import { App } from 'aws-cdk-lib';
import { CLI_VERSION_ENV } from 'aws-cdk-lib/cx-api';
import { ContextError } from './context.ts';
import { describeFixedCosts, type PricedResource } from './price.ts';
import { addRollcall } from './stack.ts';

try {
  const app = new App();
  const { stackName } = addRollcall(app);
  // The command line of the CDK passes on what is printed here. The local program, which pays nothing, runs without it.
  if (process.env[CLI_VERSION_ENV] !== undefined) {
    const { template } = app.synth().getStackByName(stackName) as {
      readonly template: { readonly Resources: Readonly<Record<string, PricedResource>> };
    };
    console.error(describeFixedCosts(stackName, Object.values(template.Resources)));
  }
} catch (error) {
  if (!(error instanceof ContextError)) throw error;
  // The deployer's mistake, not ours: a stack trace would hide the one line that helps. With an exit code alone, the
  // CDK would still synthesize what there is.
  console.error(error.message);
  process.exit(1);
}
