import type { State } from '../lib/estate.ts'
import { guestPlatforms, hardware, platforms, purposes, type Role } from '../lib/estate-words.ts'
import type { Json } from './collection.ts'

/** A choice field: its value and the label that people see. */
export function choice(value: string): Json {
  return { value, label: value.charAt(0).toUpperCase() + value.slice(1) }
}

export function family(address: string): Json {
  return address.includes(':') ? { value: 6, label: 'IPv6' } : { value: 4, label: 'IPv4' }
}

export function slugOf(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}

/** What every named NetBox object has. */
export function words(name: string): Json {
  return { display: name, name, slug: slugOf(name) }
}

export const roleLabels: Readonly<Record<Role, string>> = {
  hypervisor: 'Hypervisor',
  server: 'Server',
  'access-switch': 'Access Switch',
  router: 'Router',
  firewall: 'Firewall',
  storage: 'Storage',
  pdu: 'PDU',
}
const unique = (names: readonly string[]) => [...new Set(names)]
const models = Object.values(hardware).flat()
export const roleNames = unique([...Object.values(roleLabels), ...purposes.map(([, purpose]) => purpose)])
export const manufacturers = unique(models.map((model) => model.manufacturer))
export const deviceTypes = unique(models.map((model) => model.name))
export const platformNames = unique([...Object.values(platforms).flat(), ...guestPlatforms])
export const regionNames = [
  'NL',
  'DE',
  'SI',
  'AT',
  'HR',
  'GB',
  'FR',
  'ES',
  'SE',
  'PL',
  'CZ',
  'CH',
  'IT',
  'IE',
  'DK',
  'FI',
  'HU',
  'RO',
  'US',
  'CA',
  'BR',
  'SG',
  'JP',
  'AU',
  'IN',
  'ZA',
]

export const deviceStatus: Readonly<Record<State, string>> = {
  'in-service': 'active',
  planned: 'planned',
  staged: 'staged',
  spare: 'inventory',
  failed: 'failed',
  off: 'offline',
  leaving: 'decommissioning',
}
export const vmStatus: Readonly<Record<State, string>> = { ...deviceStatus, spare: 'paused' }
