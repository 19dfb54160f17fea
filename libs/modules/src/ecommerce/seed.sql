-- Demo data of the shop. The ledger comes first, and what the shop counts is derived from it.

-- Still lifes, one for each product: shapes and their shadow on a gradient of two colours.
INSERT INTO uploads
    (id, filename, mime_type, size, sha256, content_key, data, alt_text, owner_id, created_at, updated_at)
SELECT provisioner.seed_id('uploads/' || slug), slug || '.svg', 'image/svg+xml', length(data),
    encode(sha256(data), 'hex'), replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), data, alt_text,
    (SELECT provisioner.seed_user('ada')), now() - age, now() - age
FROM (
    VALUES
        ('oak-desk-lamp', interval '86 days', 'An oak lamp with a dark shade throws light on a desk', '#fde9c9', '#f2b880', 92,
            '<ellipse cx="216" cy="316" rx="70" ry="14" fill="#8a5a2b"/>'
            '<path d="M152 112l64 82-6 112" fill="none" stroke="#a9713a" stroke-width="11" '
            'stroke-linecap="round" stroke-linejoin="round"/>'
            '<circle cx="216" cy="194" r="11" fill="#3d4450"/>'
            '<path d="M150 150L84 300h140z" fill="#fff6cf" opacity=".5"/>'
            '<path d="M118 92l64-14 30 62c-30 26-92 36-128 20z" fill="#3d4450"/>'
            '<ellipse cx="148" cy="153" rx="64" ry="15" fill="#ffe9a3" transform="rotate(-9 148 153)"/>'),
        ('stoneware-mug', interval '84 days', 'A speckled stoneware mug, steaming', '#dfe9e6', '#8fb3ad', 100,
            '<path d="M262 186c62-12 68 84-4 84" fill="none" stroke="#6f6459" stroke-width="18"/>'
            '<path d="M120 150h150l-10 146c-2 20-20 26-65 26s-63-6-65-26z" fill="#8b7d6f"/>'
            '<path d="M120 150h150l-4 66c-40 16-102 14-142-2z" fill="#e9e1d4"/>'
            '<ellipse cx="195" cy="150" rx="75" ry="20" fill="#f6f1e8"/>'
            '<ellipse cx="195" cy="153" rx="62" ry="14" fill="#5a3b28"/><g fill="#5f554b">'
            '<circle cx="150" cy="250" r="3"/><circle cx="182" cy="280" r="4"/>'
            '<circle cx="214" cy="244" r="3"/><circle cx="236" cy="286" r="3"/>'
            '<circle cx="166" cy="298" r="2"/></g>'
            '<path d="M180 120c-14-18 14-26 0-46m34 46c-14-18 14-26 0-46" fill="none" stroke="#fff" '
            'stroke-width="6" stroke-linecap="round" opacity=".7"/>'),
        ('canvas-weekender', interval '83 days', 'A canvas travel bag with leather straps', '#e8dcc8', '#b98f5f', 140,
            '<path d="M142 176c0-86 116-86 116 0" fill="none" stroke="#5b3a21" stroke-width="12"/>'
            '<path d="M62 196c0-22 14-32 36-32h204c22 0 36 10 36 32l10 96c2 20-10 30-30 30H82c-20 '
            '0-32-10-30-30z" fill="#c8b48d"/>'
            '<path d="M53 284h294l1 8c2 20-10 30-30 30H82c-20 0-32-10-30-30z" fill="#7a4f2d"/>'
            '<path d="M128 164h22v158h-22zm122 0h22v158h-22z" fill="#7a4f2d"/>'
            '<path d="M76 186h248" stroke="#5b3a21" stroke-width="5"/>'
            '<rect x="178" y="176" width="44" height="20" rx="5" fill="#d9a441"/>'
            '<rect x="170" y="226" width="60" height="38" rx="4" fill="#efe4cd"/>'),
        ('linen-notebook', interval '79 days', 'A blue linen notebook with a ribbon', '#d8e2f0', '#7f9cc6', 112,
            '<g transform="rotate(-8 200 220)"><path d="M112 112h176v208H112z" fill="#f7f2e6"/>'
            '<path d="M104 104h176c8 0 12 4 12 12v196c0 8-4 12-12 12H104z" fill="#33507e"/>'
            '<path d="M104 104h24v220h-24z" fill="#243a5e"/><path d="M262 104h10v220h-10z" fill="#e4b04a"/>'
            '<rect x="150" y="146" width="88" height="52" rx="3" fill="#f7f2e6"/>'
            '<path d="M162 164h64m-64 16h42" stroke="#9aa7bd" stroke-width="5"/>'
            '<path d="M196 324v34l9-9 9 9v-34z" fill="#c8553d"/></g>'),
        ('brass-ballpoint', interval '78 days', 'A brass pen drawing a line', '#fbe3d6', '#d58d74', 120,
            '<g transform="rotate(38 200 200)">'
            '<rect x="186" y="72" width="28" height="150" rx="6" fill="#d8a23c"/>'
            '<rect x="186" y="150" width="28" height="10" fill="#9c6f1d"/>'
            '<rect x="193" y="50" width="14" height="26" rx="5" fill="#9c6f1d"/>'
            '<path d="M186 222h28l-6 82-8 22-8-22z" fill="#e9bd63"/><path d="M196 306h8l-4 20z" fill="#444"/>'
            '<path d="M214 84h10v92l-6 8-4-6z" fill="#b98624"/>'
            '<path d="M191 78h5v206h-3z" fill="#fff" opacity=".45"/></g>'
            '<path d="M78 316c34-22 44 14 74-4s38 8 66-2" fill="none" stroke="#3b4a7a" stroke-width="5" '
            'stroke-linecap="round"/>'),
        ('ribbed-glass-vase', interval '45 days', 'A ribbed glass vase with a green branch', '#e3efe0', '#93b98a', 70,
            '<path d="M200 190C196 130 206 96 178 52m22 96c8-40 34-52 46-78" fill="none" stroke="#4b6b3c" '
            'stroke-width="5"/>'
            '<path d="M178 52c-34 2-40 34-26 48 20-4 30-22 26-48zm68 18c30 8 30 40 12 '
            '52-18-8-24-28-12-52zm-56 40c-30-12-54 6-54 26 24 10 44 2 54-26zm16 24c20-18 46-12 52 6-16 18-38 '
            '16-52-6z" fill="#5f8a4a"/>'
            '<path d="M168 168h64c-4 34 34 58 34 104 0 36-28 50-66 50s-66-14-66-50c0-46 38-70 34-104z" '
            'fill="#cfe8ee" opacity=".88"/>'
            '<path d="M138 252h124c10 52-20 70-62 70s-72-18-62-70z" fill="#8cc3d3" opacity=".7"/>'
            '<path d="M184 172c0 50-28 70-22 144m22-144c6 56 6 90 16 150m16-150c0 50 28 70 22 144m-22-144c-6 '
            '56-6 90-16 150" fill="none" stroke="#fff" stroke-width="3" opacity=".7"/>'
            '<ellipse cx="200" cy="168" rx="32" ry="8" fill="#f2fafb"/>'),
        ('market-tote', interval '40 days', 'A cotton bag printed with an apple', '#f7ead0', '#e0a458', 104,
            '<path d="M152 168c-4-108 100-108 96 0" fill="none" stroke="#b7a27c" stroke-width="11"/>'
            '<path d="M108 150h184l16 158c1 10-5 14-14 14H106c-9 0-15-4-14-14z" fill="#f3ead6"/>'
            '<path d="M108 150h184l2 18H106z" fill="#dccdaa"/>'
            '<path d="M200 286c-44-28-58-52-42-72 14-16 34-10 42 6 8-16 28-22 42-6 16 20 2 44-42 72z" '
            'fill="#c8553d"/><path d="M200 214c0-16 8-26 22-30-2 18-8 26-22 30z" fill="#5f8a4a"/>'
            '<path d="M166 168v-18m68 18v-18" stroke="#b7a27c" stroke-width="11"/>'),
        ('quiet-wall-clock', interval '70 days', 'A round wall clock with a dark rim', '#e6e4f2', '#9a93c4', 58,
            '<circle cx="200" cy="184" r="120" fill="#2f2b45"/>'
            '<circle cx="200" cy="184" r="106" fill="#faf8f3"/>'
            '<path d="M200 90v18m0 152v18m94-94h-18m-152 0h-18" stroke="#2f2b45" stroke-width="8" '
            'stroke-linecap="round"/>'
            '<path d="M247 103l-5 8m39 26l-8 5m8 89l-8-5m-26 39l-5-8m-84 8l5-8m-39-26l8-5m-8-89l8 5m26-39l5 '
            '8" stroke="#a8a3bf" stroke-width="5" stroke-linecap="round"/>'
            '<path d="M200 184l-42-34" stroke="#2f2b45" stroke-width="9" stroke-linecap="round"/>'
            '<path d="M200 184l52-54" stroke="#2f2b45" stroke-width="6" stroke-linecap="round"/>'
            '<path d="M200 204v-92" stroke="#d9643a" stroke-width="3"/>'
            '<circle cx="200" cy="184" r="8" fill="#d9643a"/>'),
        ('botanical-card-set', interval '66 days', 'Three cards, the first printed with a plant', '#e9f0e6', '#b7cba5', 130,
            '<g transform="rotate(-14 200 330)">'
            '<rect x="126" y="118" width="132" height="190" rx="6" fill="#f4d9c6"/></g>'
            '<g transform="rotate(12 200 330)">'
            '<rect x="140" y="112" width="132" height="194" rx="6" fill="#dfe6ef"/></g>'
            '<rect x="134" y="104" width="132" height="206" rx="6" fill="#fffdf8"/>'
            '<path d="M200 284V140" stroke="#4b6b3c" stroke-width="4"/>'
            '<path d="M200 262c-34 0-42-20-44-34 24 0 40 12 44 34zm0-14c34 0 42-20 44-34-24 0-40 12-44 '
            '34zm0-32c-30 0-38-18-40-32 22 0 36 12 40 32zm0-14c30 0 38-18 40-32-22 0-36 12-40 '
            '32zm0-40c-12-14-10-28 0-40 10 12 12 26 0 40z" fill="#7da565"/>'
            '<circle cx="164" cy="150" r="9" fill="#d9643a"/><circle cx="240" cy="262" r="7" fill="#e4b04a"/>'),
        ('cedar-candle', interval '36 days', 'A burning candle with a cedar on its label', '#f3dfe0', '#a5676f', 84,
            '<path d="M124 190h152v118c0 10-34 16-76 16s-76-6-76-16z" fill="#f5efe4"/>'
            '<path d="M124 190h152v30c-40 14-112 14-152 0z" fill="#e3d7c2"/>'
            '<ellipse cx="200" cy="190" rx="76" ry="18" fill="#fff8ea"/>'
            '<ellipse cx="200" cy="192" rx="52" ry="10" fill="#f3dca6"/>'
            '<path d="M200 192v-24" stroke="#3b2b24" stroke-width="5"/>'
            '<path d="M200 98c26 34 30 72 0 74-30-2-26-40 0-74z" fill="#f7b13c"/>'
            '<path d="M200 130c12 18 12 38 0 40-12-2-12-22 0-40z" fill="#fff1b8"/>'
            '<rect x="154" y="236" width="92" height="56" rx="4" fill="#6b4a3a"/>'
            '<path d="M200 244l14 18h-8l12 16h-36l12-16h-8z" fill="#d7c3a3"/>'),
        ('roll-top-backpack', interval '52 days', 'A teal backpack with a rolled top', '#d9e7ea', '#5d8a94', 100,
            '<path d="M112 176c-34 30-30 90-14 124m190-124c34 30 30 90 14 124" fill="none" stroke="#1f3a40" '
            'stroke-width="14"/>'
            '<path d="M118 132h164c8 50 14 120 10 164-2 18-12 26-30 26H138c-18 0-28-8-30-26-4-44 2-114 '
            '10-164z" fill="#2f5d66"/>'
            '<path d="M112 96c0-10 6-16 16-16h144c10 0 16 6 16 16v26c0 10-6 16-16 16H128c-10 0-16-6-16-16z" '
            'fill="#274d55"/><path d="M112 108h176" stroke="#3b737e" stroke-width="5"/>'
            '<path d="M192 80h16v96h-16z" fill="#d9a441"/>'
            '<rect x="186" y="160" width="28" height="22" rx="4" fill="#1f3a40"/>'
            '<rect x="142" y="214" width="116" height="80" rx="12" fill="#3b737e"/>'
            '<path d="M152 232h96" stroke="#d9a441" stroke-width="5"/>'),
        ('autumn-preview-set', interval '2 days', 'A gift box beside a mug with autumn leaves', '#fbe0b8', '#c9673b', 132,
            '<rect x="96" y="222" width="150" height="98" rx="6" fill="#8c3f23"/>'
            '<path d="M88 206h166v28H88z" fill="#a64f2d"/><path d="M160 206h22v114h-22z" fill="#f0c987"/>'
            '<path d="M171 206c-44-4-46-38-24-38 14 0 22 18 24 38zm0 0c44-4 46-38 24-38-14 0-22 18-24 38z" '
            'fill="none" stroke="#f0c987" stroke-width="9"/>'
            '<path d="M262 248h64l-6 66c-1 8-8 10-26 10s-25-2-26-10z" fill="#f5efe4"/>'
            '<path d="M324 262c26-2 24 34-4 32" fill="none" stroke="#f5efe4" stroke-width="9"/>'
            '<path d="M294 246c-4-30 20-60 54-66 4 36-20 62-54 66zm-6-4c-30-6-44-38-34-68 30 10 44 38 34 '
            '68z" fill="#d9832f"/><path d="M294 246l32-44m-38 40l-22-44" stroke="#8c3f23" stroke-width="4"/>')
) AS art (slug, age, alt_text, light, dark, shadow, shapes),
    convert_to(format(
        '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400" viewBox="0 0 400 400"><defs>'
        '<linearGradient id="g" x2="1" y2="1"><stop stop-color="%s"/><stop offset="1" stop-color="%s"/></linearGradient>'
        '</defs><rect width="400" height="400" fill="url(#g)"/><path d="M0 306h400v94H0z" fill="#fff" opacity=".22"/>'
        '<ellipse cx="200" cy="322" rx="%s" ry="12" opacity=".18"/>%s</svg>',
        light, dark, shadow, shapes
    ), 'UTF8') AS data;

INSERT INTO ecommerce_categories (id, name, slug, description, parent_id, image_id, position, created_at, updated_at)
SELECT provisioner.seed_id('ecommerce_categories/' || slug), name, slug, description,
    provisioner.seed_id('ecommerce_categories/' || parent), provisioner.seed_id('uploads/' || image), position,
    now() - interval '88 days', now() - interval '88 days'
FROM (
    VALUES
        ('home-and-desk', 'Home and desk', 'Quiet things for the rooms you live and work in.', NULL, 'stoneware-mug', 1),
        ('lighting', 'Lighting', 'Lamps and candles for late hours.', 'home-and-desk', 'oak-desk-lamp', 1),
        ('bags-and-travel', 'Bags and travel', 'From the market to the night train.', NULL, 'canvas-weekender', 2),
        ('paper-and-pens', 'Paper and pens', 'For notes, letters and lists.', NULL, 'linen-notebook', 3)
) AS category (slug, name, description, parent, image, position);

INSERT INTO ecommerce_sellers
    (id, user_id, name, slug, description, email, commission_rate, status, version, created_at, updated_at)
VALUES
    (provisioner.seed_id('ecommerce_sellers/hillside-makers'), provisioner.seed_user('noah'), 'Hillside Makers',
        'hillside-makers', 'Three friends, one kiln and a sewing machine in an old mill above Bristol.',
        'hello@hillside-makers.example', 12.00, 'approved', 2, now() - interval '57 days', now() - interval '56 days'),
    (provisioner.seed_id('ecommerce_sellers/paper-and-thread'), NULL, 'Paper and Thread', 'paper-and-thread',
        'Hand-bound albums and sketchbooks, sewn to order.', 'studio@paper-and-thread.example', 12.00, 'pending', 1,
        now() - interval '3 days', now() - interval '3 days');

INSERT INTO ecommerce_products
    (id, sku, slug, name, summary, description, category_id, seller_id, price, compare_at_price, stock, status,
     is_featured, sold_count, created_at, updated_at)
SELECT provisioner.seed_id('ecommerce_products/' || sku), sku, slug, name, summary, description,
    provisioner.seed_id('ecommerce_categories/' || category), provisioner.seed_id('ecommerce_sellers/' || seller),
    price, compare_at_price, stock, status, is_featured, sold_count, now() - age, now() - age
FROM (
    VALUES
        ('LAMP-001', 'oak-desk-lamp', 'Oak desk lamp', 'lighting', NULL, 49.00, NULL, 25, 2, 'active', true, interval '86 days',
            'A jointed lamp of oiled oak with a warm, dimmable light.',
            E'Turns at the foot and bends at the elbow, so the light falls where you need it.\n\n- Oiled oak, steel shade\n- Dimmable LED, 2700 K\n- 1.8 m textile cable'),
        ('MUG-002', 'stoneware-mug', 'Stoneware mug', 'home-and-desk', NULL, 14.50, NULL, 3, 8, 'active', false, interval '84 days',
            'Hand-thrown, half glazed, pleasantly heavy.',
            E'Each mug is thrown by hand and differs a little from the next. Holds **320 ml**; dishwasher safe.'),
        ('BAG-003', 'canvas-weekender', 'Canvas weekender', 'bags-and-travel', NULL, 129.00, NULL, 0, 3, 'active', false, interval '83 days',
            'Waxed canvas and leather for two nights away.',
            E'Fits under a train seat and takes rain well.\n\n- Waxed canvas, vegetable-tanned leather\n- 38 litres\n- Separate pocket for shoes'),
        ('NOTE-004', 'linen-notebook', 'Linen notebook', 'paper-and-pens', NULL, 18.00, NULL, 40, 5, 'active', false, interval '79 days',
            'Lies flat, takes ink, closes with a band.',
            E'192 pages of 100 g paper with a dot grid, thread-sewn so that it **lies flat** from the first page.'),
        ('PEN-005', 'brass-ballpoint', 'Brass ballpoint', 'paper-and-pens', NULL, 24.00, NULL, 18, 3, 'active', false, interval '78 days',
            'Solid brass that ages with your hand.',
            E'Turned from one bar of brass. Takes any standard G2 refill; a black one is inside.'),
        ('VASE-006', 'ribbed-glass-vase', 'Ribbed glass vase', 'home-and-desk', 'hillside-makers', 36.00, NULL, 14, 0, 'active', true, interval '45 days',
            'Mouth-blown glass with soft ribs.',
            E'Blown into a ribbed mould from recycled glass. 24 cm high, for a branch or a small bunch.'),
        ('TOTE-007', 'market-tote', 'Market tote', 'bags-and-travel', 'hillside-makers', 32.00, NULL, 22, 1, 'active', false, interval '40 days',
            'A sturdy cotton bag, printed by hand.',
            E'Heavy organic cotton with long handles and an inner pocket for keys. Printed with water-based ink.'),
        ('CLOCK-008', 'quiet-wall-clock', 'Quiet wall clock', 'home-and-desk', NULL, 59.00, 72.00, 9, 2, 'active', false, interval '70 days',
            'A clock without a tick.',
            E'A sweeping movement instead of a ticking one. 30 cm across, one AA battery a year.'),
        ('CARD-009', 'botanical-card-set', 'Botanical card set', 'paper-and-pens', NULL, 12.50, NULL, 60, 5, 'active', false, interval '66 days',
            'Eight cards with envelopes.',
            E'Eight folded cards with four drawings of garden plants, printed on cotton paper. Blank inside.'),
        ('CANDLE-010', 'cedar-candle', 'Cedar candle', 'lighting', 'hillside-makers', 22.00, NULL, 27, 1, 'active', false, interval '36 days',
            'Rapeseed wax with cedar and a little smoke.',
            E'Poured by hand into a ceramic pot that makes a good pencil cup afterwards. Burns for about 45 hours.'),
        ('PACK-011', 'roll-top-backpack', 'Roll-top backpack', 'bags-and-travel', NULL, 98.00, 118.00, 6, 1, 'active', true, interval '52 days',
            'Grows from 18 to 24 litres.',
            E'Recycled nylon with welded seams.\n\n- Sleeve for a 15 inch laptop\n- Hidden pocket against the back\n- Weighs 840 g'),
        ('DRAFT-012', 'autumn-preview-set', 'Autumn preview set', 'home-and-desk', NULL, 64.00, NULL, 0, 0, 'draft', false, interval '2 days',
            'A box for the season, still being packed.',
            E'Mug, candle and a card in a gift box. *Not on sale yet.*')
) AS product (sku, slug, name, category, seller, price, compare_at_price, stock, sold_count, status, is_featured, age, summary, description);

INSERT INTO ecommerce_product_images (id, product_id, upload_id, alt_text, created_at, updated_at)
SELECT provisioner.seed_id('ecommerce_product_images/' || sku), id, provisioner.seed_id('uploads/' || slug), name,
    created_at, created_at
FROM ecommerce_products;

-- Twelve purchases, the eldest first. Their numbers go on from what the session has sold already. Tax and shipping
-- follow the default settings. Where a visitor has removed the coupon or capped it too low, the orders keep its code
-- and nothing else of it.
WITH counter AS (
    INSERT INTO number_sequences (id, name, next_value)
    VALUES (provisioner.seed_id('number_sequences/orders'), 'orders', 1013)
    ON CONFLICT (name) DO UPDATE SET next_value = number_sequences.next_value + 12, updated_at = now()
    RETURNING next_value - 13 AS before
), coupon AS (
    UPDATE coupons SET used_count = used_count + 2
    WHERE code = 'WELCOME10' AND (max_uses IS NULL OR used_count + 2 <= max_uses)
    RETURNING id, code
)
INSERT INTO orders
    (id, number, user_id, customer_name, email, source, status, currency, subtotal, discount, shipping, tax, total,
     refunded_total, coupon_id, coupon_code, paid_at, created_at, updated_at)
SELECT provisioner.seed_id('orders/shop-' || n), 'ORD-' || before + n, buyer.id, buyer.name, buyer.email, 'ecommerce',
    sale.status, current_setting('livepreview.currency'), subtotal, discount, shipping, tax,
    subtotal - discount + shipping + tax,
    CASE sale.status WHEN 'refunded' THEN subtotal - discount + shipping + tax ELSE 0 END,
    coupon.id, coupon_code, CASE WHEN sale.status <> 'pending' THEN now() - age END, now() - age, now() - touched
FROM counter,
    (
        VALUES
            (1, 'aiko', 'paid', 84.00, 8.40, 0.00, 'WELCOME10', interval '28 days 7 hours', interval '28 days 7 hours'),
            (2, 'lena', 'paid', 82.00, 0.00, 0.00, NULL, interval '26 days 3 hours', interval '26 days 3 hours'),
            (3, 'aiko', 'paid', 109.00, 0.00, 14.90, NULL, interval '23 days 14 hours', interval '23 days 14 hours'),
            (4, 'lena', 'refunded', 80.00, 0.00, 0.00, NULL, interval '20 days 5 hours', interval '19 days 9 hours'),
            (5, 'aiko', 'paid', 129.00, 0.00, 0.00, NULL, interval '18 days 16 hours', interval '18 days 16 hours'),
            (6, 'lena', 'paid', 50.00, 5.00, 5.90, 'WELCOME10', interval '15 days 10 hours', interval '15 days 10 hours'),
            (7, 'noah', 'paid', 78.00, 0.00, 14.90, NULL, interval '10 days 14 hours', interval '10 days 14 hours'),
            (8, 'aiko', 'paid', 154.00, 0.00, 0.00, NULL, interval '7 days 5 hours', interval '7 days 5 hours'),
            (9, 'lena', 'paid', 72.50, 0.00, 5.90, NULL, interval '4 days 8 hours', interval '4 days 8 hours'),
            (10, 'aiko', 'paid', 98.00, 0.00, 14.90, NULL, interval '2 days 14 hours', interval '2 days 14 hours'),
            (11, 'lena', 'pending', 51.00, 0.00, 5.90, NULL, interval '31 hours', interval '31 hours'),
            (12, 'aiko', 'paid', 188.00, 0.00, 0.00, NULL, interval '5 hours', interval '5 hours')
    ) AS sale (n, who, status, subtotal, discount, shipping, coupon_code, age, touched)
    CROSS JOIN LATERAL (SELECT round((subtotal - discount) * 0.08, 2) AS tax) AS taxed
    JOIN (
        VALUES
            ('aiko', provisioner.seed_user('aiko')),
            ('lena', provisioner.seed_user('lena')),
            ('noah', provisioner.seed_user('noah'))
    ) AS person (who, user_id) USING (who)
    JOIN users AS buyer ON buyer.id = person.user_id
    LEFT JOIN coupon ON coupon.code = coupon_code;

INSERT INTO order_items
    (id, order_id, kind, ref_id, title, sku, quantity, unit_price, line_total, position, created_at, updated_at)
SELECT provisioner.seed_id('order_items/shop-' || n || '-' || line.position), sale.id, 'product', product.id,
    product.name, product.sku, quantity, product.price, quantity * product.price, line.position, sale.created_at,
    sale.created_at
FROM (
    VALUES
        (1, 0, 'CLOCK-008', 1), (1, 1, 'CARD-009', 2),
        (2, 0, 'MUG-002', 4), (2, 1, 'PEN-005', 1),
        (3, 0, 'LAMP-001', 1), (3, 1, 'NOTE-004', 2), (3, 2, 'PEN-005', 1),
        (4, 0, 'VASE-006', 1), (4, 1, 'CANDLE-010', 2),
        (5, 0, 'BAG-003', 1),
        (6, 0, 'TOTE-007', 1), (6, 1, 'NOTE-004', 1),
        (7, 0, 'LAMP-001', 1), (7, 1, 'MUG-002', 2),
        (8, 0, 'BAG-003', 1), (8, 1, 'CARD-009', 2),
        (9, 0, 'NOTE-004', 2), (9, 1, 'PEN-005', 1), (9, 2, 'CARD-009', 1),
        (10, 0, 'PACK-011', 1),
        (11, 0, 'MUG-002', 2), (11, 1, 'CANDLE-010', 1),
        (12, 0, 'BAG-003', 1), (12, 1, 'CLOCK-008', 1)
) AS line (n, position, sku, quantity)
    JOIN orders AS sale ON sale.id = provisioner.seed_id('orders/shop-' || n)
    JOIN ecommerce_products AS product ON product.sku = line.sku;

INSERT INTO payments
    (id, intent_code, purpose, order_id, user_id, amount, currency, description, status, card_brand, card_last4,
     succeeded_at, created_at, updated_at)
SELECT provisioner.seed_id('payments/' || id), 'pi_' || left(md5('intent' || id), 24), 'order', id, user_id, total,
    currency, 'Order ' || number, 'succeeded', 'visa', '4242', paid_at, paid_at, paid_at
FROM orders
WHERE source = 'ecommerce' AND paid_at IS NOT NULL;

INSERT INTO refunds (id, order_id, payment_id, amount, reason, created_by_id, created_at, updated_at)
SELECT provisioner.seed_id('refunds/' || id), id, provisioner.seed_id('payments/' || id), refunded_total,
    'Ordered by mistake', user_id, updated_at, updated_at
FROM orders
WHERE source = 'ecommerce' AND status = 'refunded';

INSERT INTO coupon_redemptions (id, coupon_id, order_id, user_id, amount, created_at, updated_at)
SELECT provisioner.seed_id('coupon_redemptions/' || id), coupon_id, id, user_id, discount, created_at, created_at
FROM orders
WHERE source = 'ecommerce' AND coupon_id IS NOT NULL;

-- What happened to the goods. Each step raises the version.
INSERT INTO ecommerce_orders
    (id, order_id, user_id, fulfilment, shipping_method, shipping_address, payment_method, customer_note, carrier,
     tracking_number, shipped_at, delivered_at, cancelled_at, cancel_reason, version, created_at, updated_at)
SELECT provisioner.seed_id('ecommerce_orders/' || n), sale.id, sale.user_id, fulfilment, method,
    jsonb_build_object('recipient', sale.customer_name) || address::jsonb, payment, note, carrier, tracking,
    now() - shipped, now() - delivered, now() - cancelled, reason, step.version, sale.created_at,
    coalesce(now() - coalesce(cancelled, delivered, shipped, begun), sale.created_at)
FROM (
    VALUES
        (1, 'aiko', 'delivered', 'standard', 'card', NULL, 'Parcel Post', 'PP4410027761', NULL, interval '27 days 4 hours', interval '24 days 22 hours', NULL, NULL, 4),
        (2, 'lena', 'delivered', 'standard', 'card', 'Please wrap the mugs well.', 'Parcel Post', 'PP4410031958', NULL, interval '25 days 1 hour', interval '22 days 20 hours', NULL, NULL, 4),
        (3, 'aiko', 'delivered', 'express', 'card', NULL, 'Swift Couriers', 'SW-77-20418', NULL, interval '23 days 4 hours', interval '22 days 2 hours', NULL, NULL, 4),
        (4, 'lena', 'cancelled', 'standard', 'card', NULL, NULL, NULL, NULL, NULL, NULL, interval '19 days 9 hours', 'Ordered by mistake', 2),
        (5, 'aiko', 'delivered', 'standard', 'card', NULL, 'Parcel Post', 'PP4410058120', NULL, interval '17 days 6 hours', interval '14 days 23 hours', NULL, NULL, 4),
        (6, 'lena', 'delivered', 'standard', 'card', NULL, 'Parcel Post', 'PP4410064473', NULL, interval '14 days 3 hours', interval '11 days 21 hours', NULL, NULL, 4),
        (7, 'noah', 'shipped', 'express', 'card', 'Ring at the mill, not at the house.', 'Swift Couriers', 'SW-77-23907', NULL, interval '9 days 20 hours', NULL, NULL, NULL, 3),
        (8, 'aiko', 'shipped', 'standard', 'card', NULL, 'Parcel Post', 'PP4410102236', NULL, interval '5 days 22 hours', NULL, NULL, NULL, 3),
        (9, 'lena', 'processing', 'standard', 'card', NULL, NULL, NULL, interval '3 days 20 hours', NULL, NULL, NULL, NULL, 2),
        (10, 'aiko', 'processing', 'express', 'card', NULL, NULL, NULL, interval '44 hours', NULL, NULL, NULL, NULL, 2),
        (11, 'lena', 'unfulfilled', 'standard', 'on_delivery', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1),
        (12, 'aiko', 'unfulfilled', 'standard', 'card', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1)
) AS step (n, who, fulfilment, method, payment, note, carrier, tracking, begun, shipped, delivered, cancelled, reason, version)
    JOIN orders AS sale ON sale.id = provisioner.seed_id('orders/shop-' || n)
    JOIN (
        VALUES
            ('aiko', '{"line1": "18 Orchard Lane", "line2": "Apt 4", "city": "Springfield", "region": "IL", "postalCode": "62704", "country": "US", "phone": "+1 555 0104"}'),
            ('lena', '{"line1": "Lindenweg 8", "line2": null, "city": "Hamburg", "region": null, "postalCode": "20099", "country": "DE", "phone": null}'),
            ('noah', '{"line1": "3 Mill Yard", "line2": null, "city": "Bristol", "region": null, "postalCode": "BS1 4QA", "country": "GB", "phone": "+44 555 0105"}')
    ) AS home (who, address) USING (who);

INSERT INTO ecommerce_order_items (id, shop_order_id, order_item_id, product_id, seller_id, created_at, updated_at)
SELECT provisioner.seed_id('ecommerce_order_items/' || item.id), shop_order.id, item.id, product.id,
    product.seller_id, item.created_at, item.created_at
FROM ecommerce_orders AS shop_order
    JOIN order_items AS item USING (order_id)
    JOIN ecommerce_products AS product ON product.id = item.ref_id;

-- Every product's way from its first stock through the orders to what is there now.
INSERT INTO ecommerce_stock_movements
    (id, product_id, reason, delta, stock_after, shop_order_id, note, created_by_id, created_at, updated_at)
SELECT provisioner.seed_id('ecommerce_stock_movements/' || product_id || reason || coalesce(shop_order_id::text, '')),
    product_id, reason, delta, sum(delta) OVER (PARTITION BY product_id ORDER BY happened_at), shop_order_id, note,
    actor_id, happened_at, happened_at
FROM (
    SELECT id, 'initial', stock + sold_count, NULL::uuid, 'First stock', (SELECT provisioner.seed_user('ada')), created_at
    FROM ecommerce_products
    WHERE status = 'active'
    UNION ALL
    SELECT item.ref_id, step.reason, step.sign * item.quantity, shop_order.id, NULL, shop_order.user_id, step.happened_at
    FROM ecommerce_orders AS shop_order
        JOIN order_items AS item USING (order_id)
        CROSS JOIN LATERAL (
            VALUES ('sale', -1, shop_order.created_at), ('cancel', 1, shop_order.cancelled_at)
        ) AS step (reason, sign, happened_at)
    WHERE step.happened_at IS NOT NULL
) AS movement (product_id, reason, delta, shop_order_id, note, actor_id, happened_at);

INSERT INTO ecommerce_customers
    (id, user_id, notes, marketing_opt_in, orders_count, total_spent, last_order_at, created_at, updated_at)
SELECT provisioner.seed_id('ecommerce_customers/' || user_id), user_id,
    CASE user_id WHEN (SELECT provisioner.seed_user('aiko')) THEN 'Orders for her studio; likes to be asked before a substitute is sent.' END,
    user_id = (SELECT provisioner.seed_user('lena')), count(*) FILTER (WHERE status <> 'refunded'),
    sum(CASE WHEN paid_at IS NOT NULL THEN total - refunded_total ELSE 0 END), max(created_at), min(created_at),
    max(updated_at)
FROM orders
WHERE source = 'ecommerce'
GROUP BY user_id;

INSERT INTO ecommerce_carts (id, user_id, created_at, updated_at)
VALUES (provisioner.seed_id('ecommerce_carts/lena'), provisioner.seed_user('lena'), now() - interval '32 hours',
    now() - interval '30 hours');

INSERT INTO ecommerce_cart_items (id, cart_id, product_id, quantity, created_at, updated_at)
VALUES
    (provisioner.seed_id('ecommerce_cart_items/lena-lamp'), provisioner.seed_id('ecommerce_carts/lena'),
        provisioner.seed_id('ecommerce_products/LAMP-001'), 1, now() - interval '32 hours', now() - interval '32 hours'),
    (provisioner.seed_id('ecommerce_cart_items/lena-tote'), provisioner.seed_id('ecommerce_carts/lena'),
        provisioner.seed_id('ecommerce_products/TOTE-007'), 1, now() - interval '30 hours', now() - interval '30 hours');

-- One review per person and product, also where an admin stands in for two of them.
WITH posted AS (
    INSERT INTO ecommerce_reviews
        (id, product_id, user_id, rating, title, body, status, is_verified, reply, replied_at, created_at, updated_at)
    SELECT DISTINCT ON (product.id, author.id) provisioner.seed_id('ecommerce_reviews/' || who || '-' || review.sku),
        product.id, author.id, rating, title, body, review.status, is_verified, reply, now() - reply_age, now() - age, now() - coalesce(reply_age, age)
    FROM (
        VALUES
            ('aiko', 'LAMP-001', 5, 'The light I was looking for', 'Warm, steady and easy to move. The joint holds where I leave it.', 'published', true, interval '20 days', NULL, NULL),
            ('lena', 'LAMP-001', 4, 'Lovely, but a short cable', 'Tried it at a friend''s desk. I would want a longer cable for mine.', 'published', false, interval '9 days', NULL, NULL),
            ('lena', 'MUG-002', 5, 'My morning mug', 'Heavy in a good way, and it keeps the coffee warm.', 'published', true, interval '21 days', NULL, NULL),
            ('noah', 'MUG-002', 4, NULL, 'Good glaze, honest price. One of the two has a small wobble.', 'published', true, interval '8 days', NULL, NULL),
            ('aiko', 'MUG-002', 2, 'Smaller than I thought', 'Got one as a present. Nice to hold, but too small for tea.', 'published', false, interval '13 days', 'Thank you for telling us. It holds 320 ml; we have put that into the description.', interval '12 days'),
            ('aiko', 'CLOCK-008', 4, 'Really silent', 'Hangs above my bed and I hear nothing. The hands could be easier to see at dusk.', 'published', true, interval '22 days', NULL, NULL),
            ('noah', 'BAG-003', 5, 'Built properly', 'Looked at every seam at the market. Will get one when it is back.', 'published', false, interval '6 days', NULL, NULL),
            ('lena', 'VASE-006', 3, 'Pretty, a bit narrow', 'I cancelled mine after seeing it: fine for one branch, not for a bunch.', 'published', false, interval '18 days', 'True, it is made for a branch or two. A wider one is in the kiln.', interval '16 days'),
            ('aiko', 'CANDLE-010', 5, 'Smells of a forest', 'A friend brought one along. Not sweet at all, and the pot stays in use.', 'published', false, interval '3 days', NULL, NULL),
            ('lena', 'PACK-011', 4, NULL, 'Tried it on in the studio: light and comfortable. Waiting for another colour.', 'pending', false, interval '26 hours', NULL, NULL)
    ) AS review (who, sku, rating, title, body, status, is_verified, age, reply, reply_age)
        JOIN ecommerce_products AS product ON product.sku = review.sku
        JOIN (
            VALUES
                ('aiko', provisioner.seed_user('aiko')),
                ('lena', provisioner.seed_user('lena')),
                ('noah', provisioner.seed_user('noah'))
        ) AS author (who, id) USING (who)
    RETURNING product_id, rating, status
)
UPDATE ecommerce_products SET rating_average = average, rating_count = published
FROM (
    SELECT product_id, round(avg(rating), 2) AS average, count(*) AS published
    FROM posted
    WHERE status = 'published'
    GROUP BY product_id
) AS rated
WHERE id = product_id;

INSERT INTO notifications (id, user_id, kind, title, body, link, read_at, created_at, updated_at)
SELECT provisioner.seed_id('notifications/shop-' || kind || '-' || who), provisioner.seed_user(who), kind,
    format(title, sale.number), format(body, sale.customer_name), '/shop/orders/' || shop_order.id, now() - read_age, now() - age,
    now() - coalesce(read_age, age)
FROM (
    VALUES
        (12, 'ada', 'ecommerce.order-placed', 'New order %s', 'Placed by %s', interval '5 hours', NULL),
        (12, 'mira', 'ecommerce.order-placed', 'New order %s', 'Placed by %s', interval '5 hours', interval '4 hours'),
        (8, 'aiko', 'ecommerce.order-status', '%s is on its way', 'Your parcel was handed to Parcel Post.', interval '5 days 22 hours', NULL)
) AS told (n, who, kind, title, body, age, read_age)
    JOIN orders AS sale ON sale.id = provisioner.seed_id('orders/shop-' || n)
    JOIN ecommerce_orders AS shop_order ON shop_order.order_id = sale.id;

INSERT INTO emails (id, to_email, to_name, template, subject, text, html, action_url, is_read, created_at, updated_at)
SELECT provisioner.seed_id('emails/' || template), sale.email, sale.customer_name, template,
    format(subject, sale.number),
    'Hello ' || sale.customer_name || E',\n\n' || written || E'\n\nYour order: ' || path || E'\n',
    provisioner.seed_html(sale.customer_name, written, path, 'Your order'), path, is_read, now() - age, now() - age
FROM (
    VALUES
        (4, 'ecommerce.order-cancelled', '%s was cancelled', 'your order %s was cancelled and %s %s goes back to your card.', true, interval '19 days 9 hours'),
        (8, 'ecommerce.order-shipped', '%s is on its way', 'your order %s over %s %s has left our workshop with Parcel Post, tracking number PP4410102236.', true, interval '5 days 22 hours'),
        (12, 'ecommerce.order-confirmed', 'Thank you for %s', 'we have your order %s over %s %s and will pack it soon.', false, interval '5 hours')
) AS mail (n, template, subject, body, is_read, age)
    JOIN orders AS sale ON sale.id = provisioner.seed_id('orders/shop-' || n)
    JOIN ecommerce_orders AS shop_order ON shop_order.order_id = sale.id
    CROSS JOIN LATERAL (
        SELECT format(body, sale.number, sale.total, sale.currency), '/shop/orders/' || shop_order.id
    ) AS filled (written, path);
