import { z } from 'zod'

// Only the fields we use. What identifies a thing is strict; what only describes it may be missing or of another type.

const text = z.string().nullish().catch(null)
const number = z.number().nullish().catch(null)
const flag = z.boolean().nullish().catch(null)
/** Some releases send ids as text. */
const id = z.union([z.int().positive(), z.string().regex(/^[1-9]\d{0,15}$/)]).transform(Number)
const optionalId = id.nullish().catch(null)

const ClientRef = z.object({ clientId: optionalId, clientName: text, displayName: text }).nullish().catch(null)

/** `POST Login`: a failure is a 200 without a token. */
export const Login = z.object({ token: z.string().min(1).max(10_000).nullish() })

const TokenPair = z.object({
  accessToken: z.string().min(1).max(10_000),
  refreshToken: z.string().min(1).max(10_000),
  tokenExpiryTimestamp: number,
})
/** `POST V4/AccessToken/Renew`: documented inside `tokenInfo`, sent flat by some releases. */
export const Renewed = z.union([z.object({ tokenInfo: TokenPair }).transform(({ tokenInfo }) => tokenInfo), TokenPair])

/** `GET CommServ` */
export const CommServ = z.object({
  currentSPVersion: z
    .union([z.string().max(40), z.number()])
    .nullish()
    .catch(null),
  csVersionInfo: z.string().max(80).nullish().catch(null),
})

/** `GET Client` */
export const Clients = z.object({
  clientProperties: z
    .array(
      z.object({
        client: z.object({
          clientEntity: z.object({ clientId: id, clientName: z.string(), displayName: text, hostName: text }),
          osInfo: z
            .object({
              Type: text,
              OsDisplayInfo: z.object({ OSName: text, ProcessorType: text }).nullish().catch(null),
            })
            .nullish()
            .catch(null),
          versionInfo: z.object({ version: text }).nullish().catch(null),
        }),
      }),
    )
    .nullish(),
})
export type Client = NonNullable<z.output<typeof Clients>['clientProperties']>[number]['client']

/** `GET Client?PseudoClientType=VSPseudo`: hypervisors, which are no machines of their own. */
export const Hypervisors = z.object({
  VSPseudoClientsList: z.array(z.object({ client: z.object({ clientId: id }) })).nullish(),
})

/** `GET VM` */
export const VirtualMachines = z.object({
  totalRecords: number,
  vmStatusInfoList: z
    .array(
      z.object({
        name: z.string(),
        strGUID: text,
        client: ClientRef,
        pseudoClient: ClientRef,
        vmHost: text,
        strOSName: text,
        vmStatus: number,
        slaCategoryDescription: text,
        isDeleted: flag,
        subclientId: optionalId,
        subclientName: text,
        vmSize: number,
        plan: z.object({ planName: text }).nullish().catch(null),
      }),
    )
    .nullish(),
})
export type VirtualMachine = NonNullable<z.output<typeof VirtualMachines>['vmStatusInfoList']>[number]

const JobSummary = z.object({
  jobId: id,
  status: z.string(),
  jobType: text,
  backupLevelName: text,
  appTypeName: text,
  subclient: z
    .object({ clientId: optionalId, clientName: text, subclientId: optionalId, subclientName: text })
    .nullish()
    .catch(null),
  destinationClient: ClientRef,
  storagePolicy: z.object({ storagePolicyName: text }).nullish().catch(null),
  plan: z.object({ planName: text }).nullish().catch(null),
  jobStartTime: number,
  jobEndTime: number,
  sizeOfApplication: number,
  sizeOfMediaOnDisk: number,
  percentComplete: number,
  pendingReason: text,
})
export type JobSummary = z.output<typeof JobSummary>

/** `POST Jobs` and `GET Job/{id}` */
export const Jobs = z.object({
  totalRecordsWithoutPaging: number,
  jobs: z.array(z.object({ jobSummary: JobSummary })).nullish(),
})

/** `GET StoragePool`; capacities are in MB. */
export const StoragePools = z.object({
  storagePoolList: z
    .array(
      z.object({
        storagePoolEntity: z.object({ storagePoolId: id, storagePoolName: z.string() }),
        status: z
          .union([z.string(), z.number().transform(String)])
          .nullish()
          .catch(null),
        totalCapacity: number,
        totalFreeSpace: number,
        sizeOnDisk: number,
        numberOfNodes: number,
        isArchiveStorage: flag,
      }),
    )
    .nullish(),
})
export type StoragePool = NonNullable<z.output<typeof StoragePools>['storagePoolList']>[number]

/** `POST …/action/backup` */
export const Started = z.object({ jobIds: z.array(id).nullish().catch(null) })
