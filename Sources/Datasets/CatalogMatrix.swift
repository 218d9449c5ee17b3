import Catalog
package import Core
package import Numerics

/// What training and evaluation read from a catalog: every item whose embedding can be encoded, in key order.
package struct CatalogMatrix: Sendable {
    /// The items, one for each row.
    package var ids: [ItemID]
    /// Semantic embeddings (items, dimension).
    package var semantic: Matrix
    /// Collaborative embeddings (items, width), zero for an item that has none; nil if the catalog has none at all.
    package var collaborative: Matrix?
    /// Whether each item has a collaborative embedding.
    package var mask: [Bool]

    /// Reads the catalog in the folder `directory`. Semantic and collaborative embeddings are read in one snapshot each.
    ///
    /// O(items · dimension). Memory: the matrices, and 32 MB of the mapped catalog at a time; the catalog is closed when
    /// this returns.
    ///
    /// - Throws: `CatalogError`.
    package init(catalog directory: String) throws {
        let reader = try CatalogReader(path: directory)
        var ids: [ItemID] = []
        var values: [Float] = []
        let count = try reader.count()
        ids.reserveCapacity(count)
        values.reserveCapacity(count * reader.format.dimension)
        try reader.forEachVector { item, vector, fault in
            guard fault == nil else { return }
            ids.append(item)
            values += vector
        }
        semantic = Matrix(rows: ids.count, columns: reader.format.dimension, values)
        self.ids = ids
        (collaborative, mask) = try Self.collaborative(reader, ids)
    }

    /// The collaborative embeddings of these items, and which of them have one.
    ///
    /// - Parameter ids: in key order, as the embeddings are read, so that one pass joins them.
    private static func collaborative(_ reader: CatalogReader, _ ids: [ItemID]) throws -> (Matrix?, mask: [Bool]) {
        var mask = [Bool](repeating: false, count: ids.count)
        var values: [Float] = []
        var width: Int?
        var row = 0
        try reader.forEachCollaborativeEmbedding { item, vector in
            if width == nil {
                width = vector.count
                values = [Float](repeating: 0, count: ids.count * vector.count)
            }
            while row < ids.count, ids[row] < item { row += 1 }
            guard row < ids.count, ids[row] == item else { return }
            values.replaceSubrange((row * vector.count)..<((row + 1) * vector.count), with: vector)
            mask[row] = true
        }
        return (width.map { Matrix(rows: ids.count, columns: $0, values) }, mask)
    }
}
