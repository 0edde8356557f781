/** The regions that have all of the stack. Warns of others, but refuses none: AWS may have added to them since. */
import { Annotations, type Stack } from 'aws-cdk-lib';

/**
 * The regions of AWS's public partition where CloudFormation offers every resource type of the stack, as of 2026-12-01.
 * Those without HTTP APIs, ap-east-2 and ap-southeast-6, are missing. docs/deploying.md says how to find out.
 */
export const SUPPORTED_REGIONS: readonly string[] = [
  'af-south-1',
  'ap-east-1',
  'ap-northeast-1',
  'ap-northeast-2',
  'ap-northeast-3',
  'ap-south-1',
  'ap-south-2',
  'ap-southeast-1',
  'ap-southeast-2',
  'ap-southeast-3',
  'ap-southeast-4',
  'ap-southeast-5',
  'ap-southeast-7',
  'ca-central-1',
  'ca-west-1',
  'eu-central-1',
  'eu-central-2',
  'eu-north-1',
  'eu-south-1',
  'eu-south-2',
  'eu-west-1',
  'eu-west-2',
  'eu-west-3',
  'il-central-1',
  'me-central-1',
  'me-south-1',
  'mx-central-1',
  'sa-east-1',
  'us-east-1',
  'us-east-2',
  'us-west-1',
  'us-west-2',
];

/** Adds a warning to the stack if it is about to be deployed to another region; undefined = the region is unknown. */
export function warnOfRegion(stack: Stack, region: string | undefined): void {
  if (region === undefined || region === '' || SUPPORTED_REGIONS.includes(region)) return;
  Annotations.of(stack).addWarningV2(
    'rollcall:region',
    `${region} is not among the regions that are known to have all services of the stack; if the deployment fails, ` +
      'choose a region from docs/deploying.md.',
  );
}
