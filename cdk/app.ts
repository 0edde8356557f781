/** Entry point of `cdk synth` and `cdk deploy`: one stack, checked against the AWS Solutions rules of cdk-nag. */
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { RollcallStack } from './stack.ts';

const app = new App();
new RollcallStack(app, 'Rollcall', {
  description: 'Takes the people of an LDAP directory into a user database and verifies their logins by LDAP bind.',
});
// A finding ends the synthesis, unless it is acknowledged next to its resource with a reason.
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
