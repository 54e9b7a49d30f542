// Imports go one way through the rooms of src/ (DESIGN §3). A room may import those to its left, never to its right.
const ORDER = [
  'shared',
  'change',
  'catalog',
  'config',
  'decode',
  'target',
  'source',
  'deadletter',
  'consume',
  'reconcile',
  'operate',
  'cli',
];

/** Stations beside the line: only the command line (and tests) may enter them. */
const SIDE_ROOMS = ['stack', 'demo'];

const oneWay = ORDER.slice(0, -1).map((room, index) => ({
  name: `${room}-looks-right`,
  comment: `${room} may not import rooms to its right: ${ORDER.slice(index + 1).join(', ')}`,
  severity: 'error',
  from: { path: `^src/${room}/`, pathNot: '[.]test[.]ts$' },
  to: { path: `^src/(${ORDER.slice(index + 1).join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...oneWay,
    {
      name: 'config-is-for-composition',
      comment:
        'Only operate, cli and the demo read configuration; other rooms get their options from the composition root',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(config|operate|cli|demo)/|[.]test[.]ts$' },
      to: { path: '^src/config/' },
    },
    {
      name: 'side-rooms-are-for-the-command-line',
      severity: 'error',
      from: { path: '^src/', pathNot: `^src/(cli|${SIDE_ROOMS.join('|')})/|[.]test[.]ts$` },
      to: { path: `^src/(${SIDE_ROOMS.join('|')})/` },
    },
    {
      name: 'stack-knows-no-pipeline',
      comment: 'The development stack must come up whatever state the pipeline is in',
      severity: 'error',
      from: { path: '^src/stack/' },
      to: { path: '^src/', pathNot: '^src/(stack|shared)/' },
    },
    {
      name: 'change-is-pure',
      comment: 'No I/O in change/: the specification of merging must run anywhere, in any order, without a clock',
      severity: 'error',
      from: { path: '^src/change/', pathNot: '[.]test[.]ts$' },
      to: {
        dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-optional'],
        // Hashing is a function of its argument.
        pathNot: '^(node:)?(crypto|buffer)$',
      },
    },
    {
      name: 'the-proof-shares-nothing-with-the-service',
      comment: 'A proof that decodes with the service’s own code would share its mistakes',
      severity: 'error',
      from: { path: '^src/demo/proof/' },
      to: { path: '^src/(change|decode|catalog|target|consume|deadletter|source|operate|config)/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-tests-in-production',
      severity: 'error',
      from: { path: '^src/', pathNot: '[.]test[.]ts$' },
      to: { path: '[.]test[.]ts$|^test/' },
    },
    {
      name: 'no-development-packages-in-production',
      severity: 'error',
      from: { path: '^src/', pathNot: '[.]test[.]ts$' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
