/** Public face of the configuration: loading, types, masks. */
export { ConfigurationError, type ConfigurationProblem } from './configuration-error.ts';
export { DEFAULT_CONFIGURATION_FILE, loadConfiguration, parseConfiguration } from './load.ts';
export { configurationNode, type Configuration } from './schema.ts';
export { maskSecrets, maskUrl } from './secrets.ts';
export type { Environment } from './interpolation.ts';
