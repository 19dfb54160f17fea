//! The rules of the contract about demo data, as questions to the database.

/// Each line is a claim and the rows that break it.
pub const ALWAYS: &[(&str, &str)] = &[
    (
        "an avatar belongs to its account",
        "users JOIN uploads ON uploads.id = avatar_id WHERE owner_id <> users.id",
    ),
    (
        "accounts are 5 to 90 days old",
        "users WHERE created_at NOT BETWEEN now() - interval '90 days' AND now() - interval '5 days'",
    ),
    (
        "content keys have 128 bits and more",
        "uploads WHERE content_key !~ '^[0-9a-f]{32,64}$'",
    ),
    (
        "seeded pictures are small SVGs",
        "uploads WHERE mime_type <> 'image/svg+xml' OR size >= 2048",
    ),
    (
        "size and hash are those of the bytes",
        "uploads WHERE size <> length(data) OR sha256 <> encode(sha256(data), 'hex')",
    ),
    (
        "pictures load nothing and run nothing",
        "uploads WHERE convert_from(data, 'UTF8') ~ '(href|<script|<style|<image|@import| on[a-z]+=)' OR \
         replace(convert_from(data, 'UTF8'), 'http://www.w3.org/2000/svg', '') ~ '//'",
    ),
    (
        "each page has one revision that equals it",
        "content_pages p WHERE (SELECT count(*) FILTER (WHERE (r.title, r.body, r.number) = (p.title, \
         p.body, 1)) = 1 AND count(*) = 1 FROM content_revisions r WHERE page_id = p.id) IS NOT TRUE",
    ),
    (
        "pages have an instant of publication when published",
        "content_pages WHERE (status = 'published') <> (published_at IS NOT NULL)",
    ),
    (
        "e-mails carry no markup in text, and address only the application",
        "emails WHERE text ~ '[<>]' OR action_url !~ '^/' OR html !~ '^<div style=' OR html ~ '//' OR \
         html !~ ('href=\"' || action_url || '\"')",
    ),
    (
        "audit rows of accounts lead to accounts",
        "audit_logs WHERE entity_type = 'core.users' AND entity_id NOT IN (SELECT id FROM users)",
    ),
    (
        "audit rows of pages lead to pages",
        "audit_logs WHERE entity_type = 'core.content-pages' AND entity_id NOT IN (SELECT id FROM \
         content_pages)",
    ),
    (
        "audit rows of coupons lead to coupons",
        "audit_logs WHERE entity_type = 'core.coupons' AND entity_id NOT IN (SELECT id FROM coupons)",
    ),
    (
        "audit rows of settings lead to settings",
        "audit_logs WHERE entity_type = 'core.settings' AND entity_id NOT IN (SELECT id FROM settings)",
    ),
    (
        "audit rows of messages lead to messages",
        "audit_logs WHERE entity_type = 'core.contact-messages' AND entity_id NOT IN (SELECT id FROM \
         contact_messages)",
    ),
    (
        "audit rows name their actor",
        "audit_logs JOIN users ON users.id = actor_id WHERE actor_name <> name",
    ),
    (
        "coupons count their redemptions",
        "coupons c WHERE used_count <> (SELECT count(*) FROM coupon_redemptions WHERE coupon_id = c.id)",
    ),
];

/// The same for the shop. They hold also where accounts or coupons have gone before it came.
pub const SHOP: &[(&str, &str)] = &[
    (
        "subtotals are the sums of the lines",
        "orders o WHERE subtotal <> (SELECT sum(line_total) FROM order_items WHERE order_id = o.id)",
    ),
    (
        "taxes follow the default rate",
        "orders WHERE tax <> round((subtotal - discount) * 0.08, 2)",
    ),
    (
        "shipping follows the defaults",
        "orders JOIN ecommerce_orders s ON order_id = orders.id WHERE shipping <> CASE WHEN \
         shipping_method = 'express' THEN 14.90 WHEN subtotal - discount >= 75 THEN 0 ELSE 5.90 END",
    ),
    (
        "discounts are ten percent",
        "orders WHERE discount <> CASE coupon_code WHEN 'WELCOME10' THEN round(subtotal * 0.10, 2) ELSE 0 \
         END OR (coupon_code IS NULL) <> (discount = 0)",
    ),
    (
        "lines are numbered from 0",
        "order_items GROUP BY order_id HAVING (min(position), max(position), count(DISTINCT position)) <> \
         (0, count(*) - 1, count(*))",
    ),
    (
        "lines cost what the product costs",
        "order_items i LEFT JOIN ecommerce_products p ON p.id = ref_id WHERE (i.title, i.sku, unit_price) \
         IS DISTINCT FROM (p.name, p.sku, p.price)",
    ),
    ("orders bear the session's currency", "orders WHERE currency <> 'EUR'"),
    (
        "card orders have one payment of their total",
        "orders o WHERE paid_at IS NOT NULL AND (SELECT array_agg((amount, status, succeeded_at, \
         currency, user_id)) FROM payments WHERE order_id = o.id) IS DISTINCT FROM ARRAY[(total, \
         'succeeded'::text, paid_at, currency, user_id)]",
    ),
    (
        "pending orders have no payment",
        "orders JOIN payments ON order_id = orders.id WHERE paid_at IS NULL",
    ),
    (
        "intents have their form",
        "payments WHERE intent_code !~ '^pi_[0-9a-f]{24}$' OR card_last4 <> '4242'",
    ),
    (
        "refunds add up",
        "orders o WHERE refunded_total <> coalesce((SELECT sum(amount) FROM refunds WHERE order_id = \
         o.id), 0)",
    ),
    (
        "redemptions carry the discount",
        "coupon_redemptions r JOIN orders ON orders.id = order_id WHERE (amount, r.user_id, r.coupon_id) \
         IS DISTINCT FROM (discount, orders.user_id, orders.coupon_id)",
    ),
    (
        "buyers are named as they are",
        "orders JOIN users ON users.id = user_id WHERE (customer_name, orders.email) <> (users.name, \
         users.email)",
    ),
    (
        "shop orders are their buyer's and have the order's instant",
        "ecommerce_orders s JOIN orders ON orders.id = order_id WHERE (s.user_id, s.created_at) IS \
         DISTINCT FROM (orders.user_id, orders.created_at)",
    ),
    (
        "shop lines lead to the product and its seller",
        "ecommerce_order_items s JOIN order_items i ON i.id = order_item_id JOIN ecommerce_orders o ON \
         o.id = shop_order_id JOIN ecommerce_products p ON p.id = i.ref_id WHERE (s.product_id, \
         s.seller_id, o.order_id) IS DISTINCT FROM (p.id, p.seller_id, i.order_id)",
    ),
    (
        "instants and version follow the fulfilment",
        "ecommerce_orders WHERE (shipped_at IS NOT NULL, delivered_at IS NOT NULL, cancelled_at IS NOT \
         NULL, tracking_number IS NOT NULL, version) <> (fulfilment IN ('shipped', 'delivered'), \
         fulfilment = 'delivered', fulfilment = 'cancelled', fulfilment IN ('shipped', 'delivered'), CASE \
         fulfilment WHEN 'unfulfilled' THEN 1 WHEN 'processing' THEN 2 WHEN 'cancelled' THEN 2 WHEN \
         'shipped' THEN 3 ELSE 4 END)",
    ),
    (
        "steps come one after the other",
        "ecommerce_orders WHERE shipped_at <= created_at OR delivered_at <= shipped_at OR cancelled_at <= \
         created_at OR updated_at <> coalesce(cancelled_at, delivered_at, shipped_at, updated_at)",
    ),
    (
        "addresses are whole",
        "ecommerce_orders WHERE NOT shipping_address ?& ARRAY['recipient', 'line1', 'line2', 'city', \
         'region', 'postalCode', 'country', 'phone']",
    ),
    (
        "stock is the sum of the movements",
        "ecommerce_products p WHERE stock <> coalesce((SELECT sum(delta) FROM ecommerce_stock_movements \
         WHERE product_id = p.id), 0)",
    ),
    (
        "each movement tells the stock after it",
        "(SELECT stock_after, sum(delta) OVER (PARTITION BY product_id ORDER BY created_at) AS running \
         FROM ecommerce_stock_movements) m WHERE stock_after <> running",
    ),
    (
        "sold is what was ordered and not cancelled",
        "ecommerce_products p WHERE sold_count <> coalesce((SELECT sum(quantity) FROM order_items JOIN \
         ecommerce_orders USING (order_id) WHERE ref_id = p.id AND cancelled_at IS NULL), 0)",
    ),
    (
        "nothing was sold before it was there",
        "order_items i JOIN ecommerce_products p ON p.id = ref_id WHERE i.created_at <= p.created_at",
    ),
    (
        "ratings follow the published reviews",
        "ecommerce_products p WHERE (rating_average, rating_count) <> (SELECT coalesce(round(avg(rating), \
         2), 0), count(*) FROM ecommerce_reviews WHERE product_id = p.id AND status = 'published')",
    ),
    (
        "reviews are of products on sale",
        "ecommerce_reviews JOIN ecommerce_products p ON p.id = product_id WHERE p.status <> 'active'",
    ),
    (
        "customers' counters follow the ledger",
        "ecommerce_customers c WHERE ((orders_count, total_spent, last_order_at) = (SELECT (count(*) \
         FILTER (WHERE fulfilment <> 'cancelled'))::int, sum(CASE WHEN paid_at IS NULL THEN 0 ELSE total \
         - refunded_total END), max(o.created_at) FROM orders o JOIN ecommerce_orders s ON order_id = \
         o.id WHERE o.user_id = c.user_id)) IS NOT TRUE",
    ),
    (
        "every buyer is a customer",
        "orders WHERE user_id NOT IN (SELECT user_id FROM ecommerce_customers)",
    ),
    (
        "the next number follows the highest",
        "number_sequences WHERE name = 'orders' AND next_value <> (SELECT max(substr(number, 5)::int) + 1 \
         FROM orders)",
    ),
    (
        "numbers follow time",
        "(SELECT number, lag(number) OVER (ORDER BY created_at) AS before FROM orders WHERE source = \
         'ecommerce') o WHERE number <= before",
    ),
    (
        "order notifications lead to orders",
        "notifications WHERE kind LIKE 'ecommerce.%' AND replace(link, '/shop/orders/', '')::uuid NOT IN \
         (SELECT id FROM ecommerce_orders)",
    ),
    (
        "order e-mails lead to the buyer's order",
        "emails LEFT JOIN ecommerce_orders s ON action_url = '/shop/orders/' || s.id LEFT JOIN orders ON \
         orders.id = order_id WHERE template LIKE 'ecommerce.%' AND (strpos(text, number) > 0 AND \
         strpos(subject, number) > 0 AND email = to_email) IS NOT TRUE",
    ),
    (
        "every category has products",
        "ecommerce_categories c WHERE NOT EXISTS (SELECT FROM ecommerce_products WHERE category_id = \
         c.id)",
    ),
    (
        "every product has its picture",
        "ecommerce_products p WHERE (SELECT count(*) FROM ecommerce_product_images JOIN uploads u ON u.id \
         = upload_id WHERE product_id = p.id AND filename = slug || '.svg') <> 1",
    ),
];

/// What holds for a fresh session only: a claim, a question and its answer.
pub const FRESH: &[(&str, &str, &str)] = &[
    (
        "four accounts signed in within the week",
        "SELECT count(*) FROM users WHERE last_login_at > now() - interval '7 days'",
        "4",
    ),
    (
        "questions are spread over three topics",
        "SELECT string_agg(DISTINCT category, ',' ORDER BY category) FROM faqs",
        "Account,General,Orders",
    ),
    (
        "one announcement is pinned, runs and is for all",
        "SELECT count(*) FROM announcements WHERE is_pinned AND ends_at IS NULL AND starts_at < now() AND \
         audience = 'all'",
        "1",
    ),
    (
        "the other ended yesterday and is for staff",
        "SELECT count(*) FROM announcements WHERE ends_at BETWEEN now() - interval '2 days' AND now() - \
         interval '1 hour' AND audience = 'staff'",
        "1",
    ),
    (
        "four settings are stored",
        "SELECT string_agg(key, ',' ORDER BY key) FROM settings",
        "app.name,app.tagline,theme.logoId,theme.primaryColor",
    ),
    (
        "the logo is an upload",
        "SELECT filename FROM uploads JOIN settings ON key = 'theme.logoId' AND value = \
         to_jsonb(uploads.id)",
        "logo.svg",
    ),
    (
        "the spring sale ended last week",
        "SELECT count(*) FROM coupons WHERE code = 'SPRING20' AND ends_at BETWEEN now() - interval '14 \
         days' AND now() - interval '6 days'",
        "1",
    ),
    (
        "orders lie within thirty days",
        "SELECT count(*) FROM orders WHERE created_at > now() - interval '30 days'",
        "12",
    ),
    (
        "orders are spread over them",
        "SELECT count(DISTINCT width_bucket(extract(epoch FROM now() - created_at), 0, 2592000, 6)) FROM \
         orders",
        "6",
    ),
    (
        "fulfilment is as told",
        "SELECT string_agg(fulfilment || ' ' || status || ' ' || payment_method || ' ' || n, ', ' ORDER \
         BY fulfilment, status) FROM (SELECT fulfilment, status, payment_method, count(*) AS n FROM \
         ecommerce_orders JOIN orders ON orders.id = order_id GROUP BY 1, 2, 3) f",
        "cancelled refunded card 1, delivered paid card 5, processing paid card 2, shipped paid card 2, \
         unfulfilled paid card 1, unfulfilled pending on_delivery 1",
    ),
    (
        "two orders used the welcome coupon",
        "SELECT used_count FROM coupons WHERE code = 'WELCOME10'",
        "2",
    ),
    (
        "the refunded order got everything back",
        "SELECT count(*) FROM orders WHERE status = 'refunded' AND refunded_total = total",
        "1",
    ),
    (
        "numbers begin at 1001",
        "SELECT min(number) || ' ' || max(number) FROM orders",
        "ORD-1001 ORD-1012",
    ),
    (
        "the sequence goes on after them",
        "SELECT next_value FROM number_sequences WHERE name = 'orders'",
        "1013",
    ),
    (
        "movements are as told",
        "SELECT string_agg(reason || ' ' || n, ', ' ORDER BY reason) FROM (SELECT reason, count(*) AS n \
         FROM ecommerce_stock_movements GROUP BY 1) m",
        "cancel 2, initial 11, sale 24",
    ),
    (
        "stock is as told",
        "SELECT string_agg(sku || ' ' || stock, ', ' ORDER BY sku) FROM ecommerce_products WHERE sku IN \
         ('LAMP-001', 'MUG-002', 'BAG-003')",
        "BAG-003 0, LAMP-001 25, MUG-002 3",
    ),
    (
        "the mug is low",
        "SELECT stock <= low_stock_at FROM ecommerce_products WHERE sku = 'MUG-002'",
        "true",
    ),
    (
        "one product is a draft",
        "SELECT string_agg(sku, ',') FROM ecommerce_products WHERE status <> 'active'",
        "DRAFT-012",
    ),
    (
        "categories have one child",
        "SELECT count(*) FILTER (WHERE parent_id IS NULL) || ' ' || count(parent_id) FROM \
         ecommerce_categories",
        "3 1",
    ),
    (
        "Hillside Makers sells three",
        "SELECT count(*) FROM ecommerce_products JOIN ecommerce_sellers s ON s.id = seller_id WHERE \
         s.slug = 'hillside-makers'",
        "3",
    ),
    (
        "Noah is Hillside Makers",
        "SELECT u.name FROM ecommerce_sellers s JOIN users u ON u.id = user_id WHERE s.slug = \
         'hillside-makers'",
        "Noah Okafor",
    ),
    (
        "nine reviews are published, one waits",
        "SELECT count(*) FILTER (WHERE status = 'published') || ' ' || count(*) FILTER (WHERE status = \
         'pending') FROM ecommerce_reviews",
        "9 1",
    ),
    (
        "ratings lie between 2 and 5",
        "SELECT min(rating) || ' ' || max(rating) FROM ecommerce_reviews",
        "2 5",
    ),
    (
        "three users review",
        "SELECT string_agg(DISTINCT role, ',') || count(DISTINCT user_id) FROM ecommerce_reviews JOIN \
         users ON users.id = user_id",
        "USER3",
    ),
    (
        "two reviews have replies",
        "SELECT count(*) FROM ecommerce_reviews WHERE reply IS NOT NULL AND replied_at > created_at",
        "2",
    ),
    (
        "four reviews are verified",
        "SELECT count(*) FROM ecommerce_reviews WHERE is_verified",
        "4",
    ),
    (
        "and they are those of buyers who paid before",
        "SELECT count(*) FROM ecommerce_reviews r WHERE is_verified <> EXISTS (SELECT FROM orders o JOIN \
         order_items i ON i.order_id = o.id WHERE o.user_id = r.user_id AND ref_id = product_id AND \
         status = 'paid')",
        "0",
    ),
    (
        "Lena's cart is worth more than the free shipping limit",
        "SELECT sum(i.quantity * price) > 75 AND min(stock - i.quantity) >= 0 FROM ecommerce_carts c JOIN \
         ecommerce_cart_items i ON cart_id = c.id JOIN ecommerce_products p ON p.id = product_id JOIN \
         users u ON u.id = user_id WHERE u.name = 'Lena Brandt' HAVING count(*) = 2",
        "true",
    ),
    (
        "half of the notifications are unread",
        "SELECT count(*) FILTER (WHERE read_at IS NULL) || ' of ' || count(*) FROM notifications",
        "4 of 8",
    ),
];
