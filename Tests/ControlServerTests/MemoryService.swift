import ControlAPI
import ControlServer
import Core
import Synchronization

/// A daemon with a few arrays: items `0`… with codes made from their numbers.
final class MemoryService: ControlService {
    struct State {
        var uploads: [String: [UInt8]] = [:]
        var aborted: [String] = []
        var generations: [GenerationInfo] = []
        var cancelledWaits = 0
        var batchesDumped = 0
        var bytesReceived = 0
    }

    let count: Int
    let state = Mutex(State())

    init(count: Int = 100) {
        self.count = count
    }

    static func codes(_ number: Int) -> Identifier {
        [UInt16(number >> 16 & 255), UInt16(number >> 8 & 255), UInt16(number & 255), 0]
    }

    private func number(_ id: ItemID) -> Int? {
        var value = 0
        guard id.bytes.count <= 9, id.bytes.first != 48 || id.bytes.count == 1 else { return nil }
        for byte in id.bytes {
            guard byte >= 48, byte <= 57 else { return nil }
            value = value * 10 + Int(byte - 48)
        }
        return value < count ? value : nil
    }

    static func id(_ number: Int) -> ItemID { ItemID(unchecked: Array(String(number).utf8)) }

    func status() async throws -> Status {
        Status(
            state: .serving, generation: 1, items: count, caughtUp: true, catalog: CatalogStatus(path: "/tmp/c"),
            pid: 1,
            version: "test")
    }

    func items(_ ids: [ItemID]) async throws -> ItemsAnswer {
        ItemsAnswer(
            generation: 1,
            items: ids.map { id in
                let codes = number(id).map(Self.codes)
                return ItemAnswer(item: id, codes: codes, status: codes == nil ? .unknown : .live, generation: 1)
            })
    }

    func identifiers(_ identifiers: [Identifier]) async throws -> IdentifiersAnswer {
        IdentifiersAnswer(
            generation: 1,
            identifiers: identifiers.map { codes in
                let item = (0..<count).first { Self.codes($0) == codes }
                return IdentifierAnswer(codes: codes, items: item.map { [Self.id($0)] } ?? [], generation: 1)
            })
    }

    func next(_ prefixes: [Identifier]) async throws -> TrieAnswers {
        TrieAnswers(
            generation: 1,
            answers: prefixes.map { prefix in
                let below = (0..<count).map(Self.codes).filter { $0.prefix(prefix.count) == prefix }
                let next = Set(below.filter { $0.count > prefix.count }.map { $0[prefix.count] }).sorted()
                return TrieAnswer(prefix: prefix, next: next, items: below.count, generation: 1)
            })
    }

    func identifiers(below prefix: Identifier, limit: Int, after: Identifier?) async throws -> IdentifiersAnswer {
        let all = (0..<count).filter {
            let codes = Self.codes($0)
            return codes.prefix(prefix.count) == prefix && after.map { codes > $0 } ?? true
        }
        return IdentifiersAnswer(
            generation: 1,
            identifiers: all.prefix(limit).map {
                IdentifierAnswer(codes: Self.codes($0), items: [Self.id($0)], generation: 1)
            }, more: all.count > limit)
    }

    func collisions(limit: Int, after: ItemID?) async throws -> CollisionsAnswer {
        let row = Collision(
            item: after ?? Self.id(3), natural: [0, 0, 2, 0], given: [0, 0, 3, 0], rank: 1, rule: "nearest_free",
            bucket: [0, 0, 2, 0], since: Timestamp(milliseconds: 0))
        return CollisionsAnswer(generation: 1, collisions: [row])
    }

    func quarantine(limit: Int, after: ItemID?) async throws -> QuarantineAnswer {
        QuarantineAnswer(
            generation: 1,
            quarantined: [Quarantined(item: Self.id(5), reason: "NaN", since: Timestamp(milliseconds: 0))])
    }

    func generations() async throws -> GenerationsAnswer {
        GenerationsAnswer(active: 1, generations: state.withLock { $0.generations })
    }

    func receive(_ file: ModelFile, of upload: UploadName) async throws -> any UploadSink {
        MemorySink(key: "\(upload)/\(file.rawValue)", service: self)
    }

    func publish(upload: UploadName) async throws -> GenerationInfo {
        try state.withLock {
            guard $0.uploads["\(upload)/manifest.json"] != nil else {
                throw TestError(.noUpload, "No upload \(upload).", remedy: "Upload it.")
            }
            let info = GenerationInfo(
                number: $0.generations.count + 1, state: .building, items: 0, progress: 0,
                created: Timestamp(milliseconds: 0))
            $0.generations.append(info)
            return info
        }
    }

    func promote(_ generation: Int) async throws -> GenerationInfo {
        throw TestError(.notBuilt, "Generation \(generation) is not built.", remedy: "Wait.")
    }

    func confirmDeletions() async throws -> ConfirmAnswer {
        ConfirmAnswer(confirmed: [.init(generation: 1, deletions: 60, items: 100)])
    }

    func doctor(deep: Bool) async throws -> ChecksAnswer {
        ChecksAnswer(checks: [
            Check(subject: "state", name: deep ? "deep" : "quick", outcome: .ok, detail: "all is well", tookMs: 1)
        ])
    }

    func verify(generation: Int?) async throws -> ChecksAnswer {
        ChecksAnswer(checks: [
            Check(
                subject: "generation \(generation ?? 1)", name: "trie", outcome: .failed, detail: "it differs",
                remedy: "Rebuild it.")
        ])
    }

    func waitCaughtUp(timeout: Duration) async throws -> Status {
        do {
            if timeout > .seconds(1) { try await Task.sleep(for: timeout) }
        } catch {
            state.withLock { $0.cancelledWaits += 1 }
            throw error
        }
        if timeout == .zero { throw TestError(.timeout, "Too late.", remedy: "Wait longer.") }
        return try await status()
    }

    func dump(_ write: @Sendable (DumpBatch) async throws -> Void) async throws {
        for start in stride(from: 0, to: max(count, 1), by: 1000) {
            let items = (start..<min(count, start + 1000)).map { ItemDump(item: Self.id($0), codes: Self.codes($0)) }
            try await write(DumpBatch(generation: 1, items: items))
            state.withLock { $0.batchesDumped += 1 }
        }
    }
}

/// Failures of the service itself.
typealias TestError = ReasonedFailure<TestReason>

enum TestReason: String, FailureReason {
    case noUpload = "no_upload"
    case notBuilt = "not_built"
    case timeout

    static let module = "test"

    var kind: FailureKind {
        switch self {
        case .noUpload: .notFound
        case .notBuilt: .conflict
        case .timeout: .temporary
        }
    }
}

/// Collects an upload in memory.
struct MemorySink: UploadSink {
    let key: String
    let service: MemoryService
    private let bytes = Collected()

    init(key: String, service: MemoryService) {
        self.key = key
        self.service = service
    }

    private final class Collected: Sendable {
        let bytes = Mutex<[UInt8]>([])
    }

    func write(_ more: [UInt8]) async throws {
        bytes.bytes.withLock { $0 += more }
        service.state.withLock { $0.bytesReceived += more.count }
    }

    func finish() async throws {
        let all = bytes.bytes.withLock { $0 }
        service.state.withLock { $0.uploads[key] = all }
    }

    func abort() async {
        service.state.withLock { $0.aborted.append(key) }
    }
}
