// biome-ignore-all lint/style/noDefaultExport: it is the package that exports this way
// The package ships its types outside its export map; its interface is that of better-sqlite3.
declare module 'better-sqlite3-multiple-ciphers' {
  import Driver from 'better-sqlite3'
  export default Driver
}
