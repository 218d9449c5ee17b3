import Catalog
import IdentifierIndex
import Tokenizer
import Core

/// Balancing a new generation's first build.
extension GenerationPipeline {
    /// The codes that the published balancing of a whole catalog gives items instead of their natural ones; none where
    /// the index has items already, or no balancing is configured.
    ///
    /// The items are encoded once more for it, which is all that must be held at a time: codes and latent embeddings,
    /// 150 bytes an item. A build that was interrupted continues without it: what was assigned before must not move.
    func balance(_ items: [ItemID], _ catalog: CatalogWatch) async throws -> [ItemID: Identifier] {
        let now = progress
        guard rules.balancesFirstBuild, index.identity.policy == .reassign, now.cursor == nil, now.tally.live == 0,
            now.tally.tombstones == 0
        else {
            return [:]
        }
        var ids: [ItemID] = []
        var codes: [Code] = []
        var prepared = Prepared(chunk: Chunk())
        var rest = items[...]
        while !rest.isEmpty {
            try Task.checkCancellation()
            let block = threads.record.block(of: rest, generation: number, most: CatchUp.blockItems)
            prepared.chunk = Chunk()
            try await prepare(block, catalog, into: &prepared)
            for item in prepared.chunk.encoded {
                ids.append(item.id)
                for level in 0..<model.levels { codes.append(item.natural[level]) }
            }
            rest = rest.dropFirst(block.count)
        }
        let moved = try await encoder.balance(codes: codes, latents: prepared.latents)
        return Dictionary(uniqueKeysWithValues: moved.map { (ids[$0.row], $0.codes) })
    }
}
