/**
 * Ends the process with one clear line if Node is too old for Rollcall, loaded before anything else:
 * `node --require ./check-node.cjs FILE`. Plain old JavaScript, because an old Node has to understand it; without it,
 * that Node would stumble over the first type. Knows nothing of what is started.
 */
'use strict';

var OLDEST = 24;

/**
 * What to tell someone who uses this version of Node, such as `20.20.2`; null if it is new enough.
 * @param {string} version
 * @returns {string | null}
 */
function findNodeFault(version) {
  if (parseInt(version, 10) >= OLDEST) return null;
  return (
    'Rollcall needs Node.js ' +
    OLDEST +
    ' or later; this is ' +
    version +
    '. Install it from https://nodejs.org, or put the Node that "npm ci" installs on Linux first on the PATH: ' +
    'export PATH="$PWD/node_modules/.bin:$PATH"'
  );
}

var fault = findNodeFault(process.versions.node);
if (fault !== null) {
  console.error(fault);
  process.exit(1);
}

exports.findNodeFault = findNodeFault;
