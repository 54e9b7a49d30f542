/** The part of jstat that is used; the package brings no types. */
declare module 'jstat' {
  interface Distributions {
    readonly beta: { inv(probability: number, alpha: number, beta: number): number };
    readonly normal: { inv(probability: number, mean: number, deviation: number): number };
  }
  const library: { readonly jStat: Distributions };
  export default library;
}
