/** Entry point of `cdk synth` and `cdk deploy`. Leaves all that is in the stack, and its checks, to stack.ts. */
import { App } from 'aws-cdk-lib';
import { addRollcall } from './stack.ts';

addRollcall(new App());
