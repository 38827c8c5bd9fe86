import { BlockList } from 'node:net'

// Values that makers, installers and virtual networks give to many machines. They say nothing about which machine it is.

/** Compared without anything but letters and digits, in lower case. */
const serials = new Set([
  'none',
  'na',
  'null',
  'nil',
  'empty',
  'unknown',
  'unspecified',
  'invalid',
  'default',
  'string',
  'test',
  'oem',
  'vmware',
  'virtual',
  'notset',
  'notspecified',
  'notapplicable',
  'notavailable',
  'notprovided',
  'notdefined',
  'tobefilledbyoem',
  'tobefilled',
  'filledbyoem',
  'defaultstring',
  'systemserialnumber',
  'serialnumber',
  'chassisserialnumber',
  'chassisserial',
  'baseboardserialnumber',
  'invalidserial',
  'bsn12345678901234567',
  '0123456789',
  '123456789',
  '1234567890',
  '12345678',
  '987654321',
  'abcdefghij',
])

export function isNoSerial(serial: string): boolean {
  const bare = serial.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  return bare.length < 4 || serials.has(bare) || isOneCharacter(bare)
}

/** Given by makers who never set one: https://github.com/fwupd/fwupd and dmidecode users keep meeting these. */
const uuids = new Set([
  '03000200040005000006000700080009',
  '00020003000400050006000700080009',
  '12345678123412341234123456789012',
  '12345678123456789012123456789012',
  '00112233445566778899aabbccddeeff',
  '0123456789abcdef0123456789abcdef',
])

/** `hex`: 32 digits. */
export function isNoUuid(hex: string): boolean {
  return isOneCharacter(hex) || uuids.has(hex) || /^(..)\1{15}$/.test(hex)
}

const macs = [
  // Not a card's: addresses of groups (VRRP, HSRP, GLBP, CARP), of container and hypervisor networks, of tunnels.
  /^00005e000[12]/,
  /^00000c07ac/,
  /^00000c9ff/,
  /^0007b400/,
  /^0242/,
  /^fe5400/,
  /^eeeeeeeeeeee$/,
  /^005056c0000[18]$/,
  /^0a0027/,
  /^02004c4f4f50$/,
  /^00059a3c7[8a]00$/,
]

/** `hex`: 12 digits. */
export function isNoMac(hex: string): boolean {
  const isGroup = (Number.parseInt(hex.slice(0, 2), 16) & 1) === 1
  return isGroup || isOneCharacter(hex) || macs.some((pattern) => pattern.test(hex))
}

const hostNames = new Set(
  'localhost localhost4 localhost6 localdomain unknown none default null template host hostname server vm computer linux ubuntu debian centos rocky fedora esxi raspberrypi switch router firewall new-virtual-machine'.split(
    ' ',
  ),
)

export function isNoHostName(name: string): boolean {
  return name.length < 2 || hostNames.has(name) || name.startsWith('localhost.') || /^\d+$/.test(name)
}

const shared = new BlockList()
shared.addSubnet('0.0.0.0', 8, 'ipv4')
shared.addSubnet('127.0.0.0', 8, 'ipv4')
shared.addSubnet('169.254.0.0', 16, 'ipv4')
shared.addSubnet('224.0.0.0', 3, 'ipv4')
// The bridges of Docker, libvirt and VirtualBox, the same on every machine that has them.
shared.addAddress('172.17.0.1', 'ipv4')
shared.addAddress('192.168.122.1', 'ipv4')
shared.addAddress('10.0.2.15', 'ipv4')
shared.addAddress('::', 'ipv6')
shared.addAddress('::1', 'ipv6')
shared.addSubnet('fe80::', 10, 'ipv6')
shared.addSubnet('ff00::', 8, 'ipv6')

export function isNoAddress(address: string): boolean {
  return shared.check(address, address.includes(':') ? 'ipv6' : 'ipv4')
}

function isOneCharacter(text: string): boolean {
  return text === '' || text === text.charAt(0).repeat(text.length)
}
