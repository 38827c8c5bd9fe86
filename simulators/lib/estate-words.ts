/** City codes in the manner of UN/LOCODE and IATA; a second site in a city is `ams2`. */
export const cities = [
  ['ams', 'Amsterdam', 'NL', 'Europe/Amsterdam'],
  ['fra', 'Frankfurt', 'DE', 'Europe/Berlin'],
  ['lju', 'Ljubljana', 'SI', 'Europe/Ljubljana'],
  ['vie', 'Vienna', 'AT', 'Europe/Vienna'],
  ['zag', 'Zagreb', 'HR', 'Europe/Zagreb'],
  ['lhr', 'London', 'GB', 'Europe/London'],
  ['cdg', 'Paris', 'FR', 'Europe/Paris'],
  ['mad', 'Madrid', 'ES', 'Europe/Madrid'],
  ['arn', 'Stockholm', 'SE', 'Europe/Stockholm'],
  ['waw', 'Warsaw', 'PL', 'Europe/Warsaw'],
  ['prg', 'Prague', 'CZ', 'Europe/Prague'],
  ['zrh', 'Zurich', 'CH', 'Europe/Zurich'],
  ['mxp', 'Milan', 'IT', 'Europe/Rome'],
  ['dub', 'Dublin', 'IE', 'Europe/Dublin'],
  ['cph', 'Copenhagen', 'DK', 'Europe/Copenhagen'],
  ['hel', 'Helsinki', 'FI', 'Europe/Helsinki'],
  ['bud', 'Budapest', 'HU', 'Europe/Budapest'],
  ['otp', 'Bucharest', 'RO', 'Europe/Bucharest'],
  ['iad', 'Ashburn', 'US', 'America/New_York'],
  ['ord', 'Chicago', 'US', 'America/Chicago'],
  ['dfw', 'Dallas', 'US', 'America/Chicago'],
  ['sjc', 'San Jose', 'US', 'America/Los_Angeles'],
  ['sea', 'Seattle', 'US', 'America/Los_Angeles'],
  ['yyz', 'Toronto', 'CA', 'America/Toronto'],
  ['gru', 'Sao Paulo', 'BR', 'America/Sao_Paulo'],
  ['sin', 'Singapore', 'SG', 'Asia/Singapore'],
  ['nrt', 'Tokyo', 'JP', 'Asia/Tokyo'],
  ['syd', 'Sydney', 'AU', 'Australia/Sydney'],
  ['bom', 'Mumbai', 'IN', 'Asia/Kolkata'],
  ['jnb', 'Johannesburg', 'ZA', 'Africa/Johannesburg'],
] as const

export const tenantNames = [
  'Shared Platform',
  'Retail Banking',
  'Payments',
  'Data Platform',
  'Public Web',
  'Logistics',
  'Human Resources',
  'Research',
  'Customer Care',
  'Finance',
  'Security Operations',
  'Manufacturing',
  'Field Service',
  'Media',
  'Test Lab',
] as const

export type Model = {
  readonly manufacturer: string
  readonly name: string
  readonly heightUnits: number
  /** What its serial numbers begin with, and how long they are in all. */
  readonly serialPrefix: string
  readonly serialLength: number
  /** The first half of its MAC addresses. */
  readonly oui: string
}

const dell = { manufacturer: 'Dell', serialPrefix: '', serialLength: 7, oui: 'b0:7b:25' }
const hpe = { manufacturer: 'HPE', serialPrefix: 'CZ', serialLength: 10, oui: '94:40:c9' }
const cisco = { manufacturer: 'Cisco', serialPrefix: 'FOC', serialLength: 11, oui: '00:2a:6a' }
const arista = { manufacturer: 'Arista', serialPrefix: 'JPE', serialLength: 11, oui: '44:4c:a8' }

export const hardware = {
  hypervisor: [
    { ...dell, name: 'PowerEdge R760', heightUnits: 2 },
    { ...dell, name: 'PowerEdge R650', heightUnits: 1 },
    { ...hpe, name: 'ProLiant DL380 Gen11', heightUnits: 2 },
  ],
  server: [
    { ...dell, name: 'PowerEdge R660', heightUnits: 1 },
    { ...hpe, name: 'ProLiant DL360 Gen10', heightUnits: 1 },
    {
      manufacturer: 'Supermicro',
      name: 'SYS-620C-TN12R',
      heightUnits: 2,
      serialPrefix: 'S',
      serialLength: 15,
      oui: '3c:ec:ef',
    },
  ],
  'access-switch': [
    { ...cisco, name: 'Nexus 93180YC-FX3', heightUnits: 1 },
    { ...arista, name: 'DCS-7050SX3-48YC8', heightUnits: 1 },
  ],
  router: [
    { manufacturer: 'Juniper', name: 'MX204', heightUnits: 1, serialPrefix: 'BW', serialLength: 12, oui: '40:b4:f0' },
  ],
  firewall: [
    {
      manufacturer: 'Palo Alto',
      name: 'PA-3430',
      heightUnits: 1,
      serialPrefix: '0166',
      serialLength: 12,
      oui: '08:66:1f',
    },
    {
      manufacturer: 'Fortinet',
      name: 'FortiGate 600F',
      heightUnits: 1,
      serialPrefix: 'FG6H',
      serialLength: 16,
      oui: '70:4c:a5',
    },
  ],
  storage: [
    {
      manufacturer: 'NetApp',
      name: 'AFF A400',
      heightUnits: 4,
      serialPrefix: '7218',
      serialLength: 12,
      oui: 'd0:39:ea',
    },
    {
      manufacturer: 'Pure Storage',
      name: 'FlashArray//X50',
      heightUnits: 3,
      serialPrefix: 'PCHFL',
      serialLength: 13,
      oui: '24:a9:37',
    },
  ],
  pdu: [{ manufacturer: 'APC', name: 'AP8853', heightUnits: 0, serialPrefix: 'ZA', serialLength: 12, oui: '00:c0:b7' }],
} as const satisfies Record<string, readonly Model[]>

export type Role = keyof typeof hardware

export const platforms: Readonly<Record<Role, readonly string[]>> = {
  hypervisor: ['VMware ESXi 8.0', 'VMware ESXi 7.0'],
  server: ['Debian 12', 'Red Hat Enterprise Linux 9', 'Ubuntu 24.04', 'Windows Server 2022'],
  'access-switch': ['NX-OS 10.3', 'EOS 4.30'],
  router: ['Junos 23.4'],
  firewall: ['PAN-OS 11.1', 'FortiOS 7.4'],
  storage: ['ONTAP 9.14', 'Purity//FA 6.5'],
  pdu: ['AOS 6.8'],
}

/** What virtual machines are for; the word is part of their names. */
export const purposes = [
  ['web', 'Web Server', 2, 4096, 40],
  ['app', 'Application Server', 4, 8192, 60],
  ['api', 'Application Server', 4, 8192, 40],
  ['db', 'Database', 8, 32_768, 500],
  ['cache', 'Cache', 2, 16_384, 40],
  ['mq', 'Message Broker', 4, 8192, 100],
  ['k8s', 'Kubernetes Node', 8, 32_768, 120],
  ['dns', 'Name Server', 2, 2048, 20],
  ['ldap', 'Directory', 2, 4096, 40],
  ['ci', 'Build Agent', 8, 16_384, 200],
  ['log', 'Log Collector', 4, 16_384, 1000],
  ['jump', 'Jump Host', 1, 2048, 20],
] as const

export const guestPlatforms = [
  'Debian 12',
  'Ubuntu 22.04',
  'Ubuntu 24.04',
  'Red Hat Enterprise Linux 9',
  'Rocky Linux 9',
  'Windows Server 2019',
  'Windows Server 2022',
] as const
